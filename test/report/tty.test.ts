import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Event } from '../../src/report/events.ts';
import { ttyRenderer } from '../../src/report/tty.ts';
import { Screen } from '../support/screen.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const run = (...cells: string[]): Event => ({ type: 'run-started', run: 'r', cells, engines: ['Docker'], cores: 2, side: 2 });
const started = (cell: string): Event => ({ type: 'cell-started', cell, jobs: 1 });
const phase = (cell: string, name: string): Event => ({ type: 'cell-phase', cell, phase: name });
const done = (cell: string): Event => ({ type: 'cell-done', cell, image: 'i', sha256: 'abc', size: 400_000, ms: 61_000, unpinned: [] });
const failed = (cell: string): Event => ({
  type: 'cell-failed',
  cell,
  error: { code: 'BUILD_FAILED', message: 'no' },
  exit: 1,
  ms: 5,
  log: undefined,
});
const finished: Event = { type: 'run-finished', run: 'r', ms: 1, done: 1, cached: 0, failed: 0, exit: 0 };

function show(screen: Screen, ...events: Event[]): (...more: Event[]) => void {
  const listen = ttyRenderer(screen, Date.now);
  const send = (...more: Event[]) => {
    for (const event of more) listen(event);
  };
  send(...events);
  return send;
}

describe('the live display', () => {
  test('has one line for each running cell, with its phase, changed in place', () => {
    const screen = new Screen();
    const send = show(screen, run('a', 'b'), started('a'), started('b'), phase('a', 'configure'));
    expect(screen.text.slice(1)).toEqual(['● a  configure  0.0 s', '● b  starting  0.0 s']);
    send(phase('a', 'link'));
    expect(screen.text.slice(1)).toEqual(['● a  link  0.0 s', '● b  starting  0.0 s']);
  });

  test('shows how long a cell runs although nothing happens', () => {
    const screen = new Screen();
    show(screen, run('a'), started('a'));
    vi.advanceTimersByTime(75_000);
    expect(screen.text.slice(1)).toEqual(['● a  starting  1 min 15 s']);
  });

  test('lets what is finished scroll by above what runs', () => {
    const screen = new Screen();
    const send = show(screen, run('a', 'b', 'c'), started('a'), started('b'), { type: 'note', text: 'made the image' });
    send(done('a'), failed('b'), started('c'));
    expect(screen.text.slice(1)).toEqual([
      'made the image',
      'a: built in 1 min 01 s, 400 kB, sha256 abc',
      'b: FAILED after 0.0 s [BUILD_FAILED]',
      '  no',
      '● c  starting  0.0 s',
    ]);
  });

  test('shows a download with its progress until it is done', () => {
    const screen = new Screen();
    const send = show(screen, run('a'), { type: 'source-started', source: 'xen 4.17.5', origin: 'a mirror' });
    expect(screen.text.at(-1)).toBe('↓ xen 4.17.5  a mirror');
    send({ type: 'source-progress', source: 'xen 4.17.5', done: 1_000_000, total: 5_000_000 });
    vi.advanceTimersByTime(500);
    expect(screen.text.at(-1)).toBe('↓ xen 4.17.5  1.00 MB of 5.00 MB');
    send({ type: 'source-progress', source: 'xen 4.17.5', done: 2_000_000, total: undefined });
    vi.advanceTimersByTime(500);
    expect(screen.text.at(-1)).toBe('↓ xen 4.17.5  2.00 MB');
    send({ type: 'source-done', source: 'xen 4.17.5', sha256: 'x', size: 5_000_000, cached: false, proof: 'sha256', origin: 'o' });
    expect(screen.text.slice(1)).toEqual(['source xen 4.17.5: 5.00 MB, proved by sha256']);
  });

  test('does not draw for each piece of a download', () => {
    const screen = new Screen();
    const send = show(screen, run('a'), { type: 'source-started', source: 's', origin: 'o' });
    const before = screen.writes;
    for (let size = 0; size < 1000; size++) send({ type: 'source-progress', source: 's', done: size, total: 1000 });
    expect(screen.writes).toBe(before);
  });

  test('ends with the summary alone, and is quiet afterwards', () => {
    const screen = new Screen(120);
    const send = show(screen, run('a', 'b'), started('a'), done('a'), started('b'));
    send(finished);
    expect(screen.text.join('\n')).not.toContain('●');
    expect(screen.text.slice(-3).map((line) => line.split(/ {2,}/))).toEqual([
      ['cell', 'result', 'size', 'time', 'SHA-256 begins'],
      ['a', 'built', '400 kB', '1 min 01 s', 'abc'],
      ['b', 'waiting'],
    ]);
    const { writes } = screen;
    vi.advanceTimersByTime(5000);
    expect(screen.writes).toBe(writes);
  });
});

describe('on a small terminal', () => {
  test('long lines are cut, so that a line stays one line', () => {
    const screen = new Screen(20);
    const send = show(screen, run('x'), started('pv-grub-4.17.5-x86_64'));
    const above = screen.text.length - 1;
    for (const name of ['one', 'two', 'three']) send(phase('pv-grub-4.17.5-x86_64', name));
    expect(screen.text.length).toBe(above + 1);
    expect(screen.text.at(-1)).toBe('● pv-grub-4.17.5-x…');
  });

  test('more cells than lines are cut, so that nothing of them stays behind', () => {
    const screen = new Screen(80, 5);
    const cells = Array.from({ length: 12 }, (_, i) => `cell-${i}`);
    const send = show(screen, run(...cells), ...cells.map(started));
    expect(screen.text.filter((line) => line.startsWith('●')).length).toBe(4);
    send(...cells.map((cell) => phase(cell, 'link')), finished);
    expect(screen.text.filter((line) => line.startsWith('●'))).toEqual([]);
  });
});
