import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Event } from '../../src/report/events.ts';
import { Remaining, remainingText } from '../../src/report/remaining.ts';

const run = (expected: Record<string, number>, side = 2): Event => ({
  type: 'run-started',
  run: 'r',
  cells: Object.keys(expected),
  engines: ['e'],
  cores: 2,
  side,
  expected,
});
const started = (cell: string): Event => ({ type: 'cell-started', cell, jobs: 1 });
const done = (cell: string): Event => ({ type: 'cell-done', cell, image: 'i', sha256: 's', size: 1, ms: 1, unpinned: [] });

/** A run as it goes: cells in order on so many places, each taking its expected time times a pace. */
function simulate(
  expected: Record<string, number>,
  side: number,
  pace: number,
  at: (now: number, end: number, left: number) => void,
): void {
  const remaining = new Remaining();
  remaining.take(run(expected, side), 0);
  const queue = Object.entries(expected).toSorted(([, a], [, b]) => b - a);
  const running: { cell: string; end: number }[] = [];
  const times: [number, Event][] = [];
  let now = 0;
  while (queue.length + running.length > 0) {
    while (running.length < side && queue.length > 0) {
      const [cell, seconds] = queue.shift() as [string, number];
      times.push([now, started(cell)]);
      running.push({ cell, end: now + seconds * 1000 * pace });
    }
    const next = running.reduce((a, b) => (b.end < a.end ? b : a));
    running.splice(running.indexOf(next), 1);
    now = next.end;
    times.push([now, done(next.cell)]);
  }
  for (const [time, event] of times) {
    remaining.take(event, time);
    const left = remaining.milliseconds(time);
    if (left !== undefined) at(time, now, left);
  }
}

test('what is told is what comes, where cells take as long as expected; and once one is done, where all are slower alike', () => {
  const cells = fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), fc.integer({ min: 1, max: 500 }), { minKeys: 2, maxKeys: 12 });
  fc.assert(
    fc.property(cells, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 }), (expected, side, pace) => {
      let first = true;
      let anyDone = pace === 1;
      let previous = 0;
      simulate(expected, side, pace, (now, end, left) => {
        if (now > previous) anyDone = true;
        previous = now;
        // Between the end of one cell and the start of the next the next counts as waiting: the same place, the same time.
        if (anyDone && !first) expect(Math.abs(now + left - end)).toBeLessThanOrEqual(Math.max(...Object.values(expected)) * 1000 * pace);
        if (anyDone && Object.keys(expected).length <= side) expect(now + left).toBeCloseTo(end, 3);
        first = false;
      });
    }),
  );
});

test('a cell that is over its time is nearly done; cells that are there already count for nothing', () => {
  const remaining = new Remaining();
  remaining.take(run({ a: 60, b: 60, c: 600 }), 0);
  remaining.take({ type: 'cell-cached', cell: 'c', image: 'i', sha256: 's', size: 1, unpinned: [] }, 0);
  expect(remainingText(remaining, 0)).toBe('1 of 3 cells, about 1 min left');
  remaining.take(started('a'), 0);
  remaining.take(started('b'), 0);
  expect(remainingText(remaining, 90_000)).toBe('1 of 3 cells, nearly done');
  remaining.take(done('a'), 120_000);
  remaining.take(done('b'), 120_000);
  expect(remainingText(remaining, 120_000)).toBeUndefined();
});

test('a running cell ends when it is expected to at the pace of this machine; one whose engine was lost waits again', () => {
  const remaining = new Remaining();
  remaining.take(run({ a: 100, b: 100, c: 100 }), 0);
  remaining.take(started('a'), 0);
  expect([remaining.of('a', 30_000), remaining.of('b', 30_000)]).toEqual([70_000, undefined]);
  remaining.take(done('a'), 200_000);
  remaining.take(started('b'), 200_000);
  expect(remaining.of('b', 250_000)).toBe(150_000);
  expect(remaining.of('b', 900_000)).toBe(0);
  remaining.take({ type: 'cell-returned', cell: 'b', engine: 'e' }, 900_000);
  expect([remaining.of('b', 900_000), remaining.done]).toEqual([undefined, [1, 3]]);
});
