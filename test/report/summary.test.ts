import { describe, expect, test } from 'vitest';
import type { ErrorData } from '../../src/errors.ts';
import type { Event } from '../../src/report/events.ts';
import { Summary } from '../../src/report/summary.ts';
import { table } from '../../src/report/table.ts';

describe('a table', () => {
  test('has columns as wide as they need, numbers to the right, and no blanks at line ends', () => {
    expect(
      table(
        ['name', 'size>', 'note'],
        [
          ['a', '1', ''],
          ['longer', '1000', 'x'],
        ],
      ),
    ).toBe(['name    size  note', 'a          1', 'longer  1000  x'].join('\n'));
  });

  test('without rows is its header, and a row that is short is filled up', () => {
    expect(table(['a', 'b>'], [])).toBe('a  b');
    expect(table(['a', 'b>'], [['x']])).toBe('a  b\nx');
  });
});

const run = (...cells: string[]): Event => ({ type: 'run-started', run: 'r', cells, engines: ['e'], cores: 1, side: 1 });
const failed = (cell: string, error: ErrorData, log?: string): Event => ({ type: 'cell-failed', cell, error, exit: 1, ms: 1000, log });
function text(...events: Event[]): string {
  const summary = new Summary();
  for (const event of events) summary.take(event);
  return summary.text();
}
const rows = (summary: string) => (summary.split('\n\n')[0] ?? '').split('\n').map((line) => line.split(/ {2,}/));

describe('the summary', () => {
  test("has every cell in the run's order with its result, size, time and checksum", () => {
    const summary = text(
      run('a', 'b', 'c', 'd'),
      failed('c', { code: 'BUILD_FAILED', message: 'no' }),
      { type: 'cell-done', cell: 'b', image: 'i', sha256: 'beef', size: 400_000, ms: 61_000, unpinned: [] },
      { type: 'cell-cached', cell: 'a', image: 'i', sha256: 'cafe', size: 500, unpinned: [] },
    );
    expect(rows(summary)).toEqual([
      ['cell', 'result', 'size', 'time', 'SHA-256 begins'],
      ['a', 'there already', '500 B', 'cafe'],
      ['b', 'built', '400 kB', '1 min 01 s', 'beef'],
      ['c', 'FAILED', '1.0 s'],
      ['d', 'waiting'],
    ]);
  });

  test('tells a failure in full: what happened, expected, got, what to try, and where the log is', () => {
    const error = { code: 'EDIT_MISMATCH', message: 'does not fit', expected: '1 ×', got: 'line one\nline two', hint: 'mend it\nor not' };
    expect(text(run('a'), failed('a', error, 'out/failed/a.log')).split('\n\n')[1]).toBe(
      [
        'a failed [EDIT_MISMATCH]:',
        '  does not fit',
        '  expected: 1 ×',
        '  got:',
        '  line one',
        '  line two',
        '  try: mend it',
        '  or not',
        '  log: out/failed/a.log',
      ].join('\n'),
    );
  });

  test('tells a failure that several cells share once, with all their logs', () => {
    const error = (cell: string) => ({ code: 'BUILD_FAILED', message: `${cell}: the build ended with exit code 2` });
    const summary = text(
      run('a', 'b', 'c'),
      failed('a', error('a'), 'a.log'),
      failed('b', error('b'), 'b.log'),
      failed('c', { code: 'BUILD_TIMEOUT', message: 'c: late' }),
    );
    const parts = summary.split('\n\n').slice(1);
    expect(parts).toHaveLength(2);
    expect(parts[0]).toContain('a, b failed [BUILD_FAILED]:');
    expect(parts[0]).toContain('log: a.log\n  log: b.log');
    expect(parts[1]).toContain('c failed [BUILD_TIMEOUT]:');
  });

  test('says which images have sources that nothing proves, also when they were there already', () => {
    const summary = text(
      run('a', 'b'),
      { type: 'cell-cached', cell: 'a', image: 'i', sha256: 'x', size: 1, unpinned: ['grub'] },
      { type: 'cell-done', cell: 'b', image: 'i', sha256: 'y', size: 1, ms: 1, unpinned: ['grub', 'lwip'] },
    );
    expect(
      rows(summary)
        .slice(1)
        .map((row) => row[1]),
    ).toEqual(['there already *', 'built *']);
    expect(summary.split('\n\n').at(-1)).toContain('* unpinned: nothing proves the source grub, lwip;');
  });

  test('of a run where all is well is the table alone', () => {
    expect(text(run('a'), { type: 'cell-cached', cell: 'a', image: 'i', sha256: 'x', size: 1, unpinned: [] })).not.toContain('\n\n');
  });
});
