import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Event } from '../../src/report/events.ts';
import { jsonRenderer } from '../../src/report/json.ts';
import { plainRenderer } from '../../src/report/plain.ts';
import { renderer } from '../../src/report/render.ts';

const events: Event[] = [
  { type: 'run-started', run: 'r', cells: ['a', 'b', 'c'], engines: ['Docker 29'], cores: 4, side: 2 },
  { type: 'note', text: 'removed 2 leftovers' },
  { type: 'warning', text: 'the mirror is slow' },
  { type: 'source-started', source: 'xen 4.17.5', origin: 'a mirror' },
  { type: 'source-progress', source: 'xen 4.17.5', done: 1, total: 2 },
  { type: 'source-done', source: 'xen 4.17.5', sha256: 'x', size: 5_000_000, cached: false, proof: 'sha512', origin: 'o' },
  { type: 'source-done', source: 'grub 0.97', sha256: 'y', size: 900, cached: false, proof: undefined, origin: 'o' },
  { type: 'source-done', source: 'zlib 1.2.3', sha256: 'z', size: 900, cached: true, proof: 'sha256', origin: 'o' },
  { type: 'source-failed', source: 'lwip 1.3.0', error: { code: 'SOURCE_OFFLINE', message: 'not in the store' } },
  { type: 'cell-cached', cell: 'a', image: 'i', sha256: '11', size: 400_000, unpinned: [] },
  { type: 'cell-started', cell: 'b', jobs: 2 },
  { type: 'cell-phase', cell: 'b', phase: 'link' },
  { type: 'cell-done', cell: 'b', image: 'i', sha256: '22', size: 400_000, ms: 61_000, unpinned: ['grub'] },
  { type: 'cell-failed', cell: 'c', error: { code: 'SOURCE_OFFLINE', message: 'c: no' }, exit: 3, ms: 100, log: undefined },
  { type: 'run-finished', run: 'r', ms: 5, done: 1, cached: 1, failed: 1, exit: 3 },
];

/** What a renderer writes for events. */
function written(make: (out: PassThrough) => (event: Event) => void, list = events): string {
  const out = new PassThrough();
  const listen = make(out);
  for (const event of list) listen(event);
  return String(out.read() ?? '');
}

describe('plain progress', () => {
  test('is one line for each thing that happened, then the summary', () => {
    const [lines, summary] = written(plainRenderer).split('\n\ncell ');
    expect(lines?.split('\n')).toEqual([
      '3 cells, up to 2 side by side on 4 cores, engine Docker 29',
      'removed 2 leftovers',
      'warning: the mirror is slow',
      'source xen 4.17.5: from a mirror',
      'source xen 4.17.5: 5.00 MB, proved by sha512',
      'source grub 0.97: 900 B, UNPINNED, taken because of --trust',
      'source lwip 1.3.0: not in the store [SOURCE_OFFLINE]',
      'a: there already',
      'b: started with 2 cores',
      'b: link',
      'b: built in 1 min 01 s, 400 kB, sha256 22',
      'c: FAILED after 0.1 s [SOURCE_OFFLINE]',
      '  c: no',
    ]);
    expect(summary).toContain('result');
  });

  test('has no control characters: it goes to logs', () => {
    expect(written(plainRenderer).replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  });
});

describe('JSON progress', () => {
  test('is one object a line: each event as it is, with its time', () => {
    let time = 1000;
    const lines = written((out) => jsonRenderer(out, () => time++)).split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      events.map((event, i) => ({ time: 1000 + i, ...JSON.parse(JSON.stringify(event)) })),
    );
  });

  test('tells a download at most four times a second, everything else always', () => {
    let time = 5000;
    const progress = (done: number): Event => ({ type: 'source-progress', source: 's', done, total: 1000 });
    const many = Array.from({ length: 1000 }, (_, i) => progress(i));
    const text = written((out) => jsonRenderer(out, () => ++time), [...many, ...events.slice(0, 3)]);
    const types = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).type);
    expect(types.filter((type) => type === 'source-progress')).toHaveLength(4);
    expect(types.slice(-3)).toEqual(['run-started', 'note', 'warning']);
  });
});

test('an unknown kind of progress is refused with those there are', () => {
  expect(() => renderer('loud')).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', expected: 'auto, tty, plain, json, quiet' }));
});
