import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Budget, shareOf } from '../../src/build/budget.ts';

test('a cell alone gets all cores', () => {
  expect(new Budget(8, 4).take(0)).toBe(8);
});

test('cells that wait get an equal share, the last what is left', () => {
  const budget = new Budget(7, 3);
  expect([budget.take(5), budget.take(4), budget.take(3)]).toEqual([2, 2, 3]);
});

test('no more cells run side by side than there are cores, and at least one does', () => {
  expect([new Budget(2, 5).slots, new Budget(8, 3).slots, new Budget(4, 0).slots]).toEqual([2, 3, 1]);
});

test('no run of cells is ever given more cores than there are, nor a cell none, and all come back', () => {
  const run = fc.record({
    cores: fc.integer({ min: 1, max: 16 }),
    side: fc.integer({ min: 1, max: 16 }),
    cells: fc.integer({ min: 1, max: 20 }),
    ends: fc.infiniteStream(fc.nat()),
  });
  fc.assert(
    fc.property(run, ({ cores, side, cells, ends }) => {
      const budget = new Budget(cores, side);
      const running: number[] = [];
      for (let waiting = cells; waiting > 0; ) {
        if (running.length < budget.slots) {
          running.push(budget.take(--waiting));
          const used = running.reduce((sum, share) => sum + share, 0);
          expect(Math.min(...running)).toBeGreaterThanOrEqual(1);
          expect(used).toBeLessThanOrEqual(cores);
        } else {
          const [share] = running.splice(ends.next().value % running.length, 1);
          budget.give(share as number);
        }
      }
      for (const share of running) budget.give(share);
      expect(budget.take(0)).toBe(cores);
    }),
  );
});

test('of an engine elsewhere all cores are used, of one here no more than this process may; what is said for one wins, then what is said for all', () => {
  const none = { cores: 4, given: { cores: undefined, cells: undefined } };
  const there = { endpoint: 'ssh://there', cores: 32 };
  const here = { endpoint: 'unix:///sock', cores: 32 };
  expect(shareOf(there, none)).toEqual({ cores: 32, cells: 32 });
  expect(shareOf(here, none)).toEqual({ cores: 4, cells: 4 });
  expect(shareOf(there, { cores: 6, given: { cores: 6, cells: 2 } })).toEqual({ cores: 6, cells: 2 });
  expect(shareOf(there, { cores: 6, given: { cores: 6, cells: 2 } }, { cores: 16, cells: 20 })).toEqual({ cores: 16, cells: 16 });
  // One that does not tell its cores has at least one.
  expect(shareOf({ endpoint: 'tcp://x', cores: 0 }, none)).toEqual({ cores: 1, cells: 1 });
});
