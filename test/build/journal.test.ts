import { appendFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { journal, lastOutcomes } from '../../src/build/journal.ts';
import type { Event } from '../../src/report/events.ts';
import { tempFolder } from '../support/temp-folder.ts';

const now = () => new Date('2026-01-02T03:04:05Z');
const started = (cell: string): Event => ({ type: 'cell-started', cell, jobs: 1 });
const done = (cell: string): Event => ({ type: 'cell-done', cell, image: 'i', sha256: 'ab', size: 5, ms: 61_400, unpinned: [] });
const failed = (cell: string): Event => ({
  type: 'cell-failed',
  cell,
  error: { code: 'BUILD_FAILED', message: 'm' },
  exit: 1,
  ms: 5,
  log: undefined,
});

async function write(output: string, run: string, ...events: Event[]): Promise<void> {
  const { listen, done: written } = journal(output, run, now);
  for (const event of events) listen(event);
  await written();
}
const states = async (output: string) => Object.fromEntries([...(await lastOutcomes(output))].map(([cell, { state }]) => [cell, state]));

describe('the journal', () => {
  test('tells what became of each cell, the last word last', async () => {
    const output = join(tempFolder(), 'not/there/yet');
    await write(output, 'r1', started('a'), started('b'), done('a'), failed('b'), started('c'));
    expect(await states(output)).toEqual({ a: 'done', b: 'failed', c: 'started' });
    expect((await lastOutcomes(output)).get('a')).toEqual({
      time: '2026-01-02T03:04:05.000Z',
      run: 'r1',
      cell: 'a',
      state: 'done',
      seconds: 61,
      sha256: 'ab',
    });
    expect((await lastOutcomes(output)).get('b')).toMatchObject({ code: 'BUILD_FAILED', message: 'm' });
  });

  test('is one JSON object a line, in order, and other events are not in it', async () => {
    const output = tempFolder();
    await write(output, 'r1', started('a'), { type: 'note', text: 'n' }, { type: 'cell-phase', cell: 'a', phase: 'p' }, done('a'));
    const lines = readFileSync(join(output, 'journal.jsonl'), 'utf8').split('\n');
    expect(lines.slice(0, -1).map((line) => JSON.parse(line).state)).toEqual(['started', 'done']);
    expect(lines.at(-1)).toBe('');
  });

  test('of a later run is written behind', async () => {
    const output = tempFolder();
    await write(output, 'r1', failed('a'));
    await write(output, 'r2', done('a'));
    expect((await lastOutcomes(output)).get('a')).toMatchObject({ run: 'r2', state: 'done' });
  });

  test('whose last line was cut, wherever, loses that line alone and takes new ones', async () => {
    const output = tempFolder();
    const file = join(output, 'journal.jsonl');
    await write(output, 'r1', done('a'), done('b'));
    const whole = readFileSync(file);
    const first = whole.indexOf(10) + 1;
    for (const size of [first, first + 1, first + 20, whole.length - 2]) {
      writeFileSync(file, whole);
      truncateSync(file, size);
      expect(await states(output)).toEqual({ a: 'done' });
      await write(output, 'r2', failed('b'), started('c'));
      expect(await states(output)).toEqual({ a: 'done', b: 'failed', c: 'started' });
    }
  });

  test('that does not exist has no outcomes; lines that are no entries are passed over', async () => {
    const output = tempFolder();
    expect((await lastOutcomes(output)).size).toBe(0);
    await write(output, 'r1', done('a'));
    appendFileSync(join(output, 'journal.jsonl'), 'null\n5\n"x"\n[]\n{}\n\n');
    expect(await states(output)).toEqual({ a: 'done' });
  });

  test('that cannot be written fails no run', async () => {
    const output = tempFolder();
    mkdirSync(join(output, 'journal.jsonl'));
    await expect(write(output, 'r1', done('a'))).resolves.toBeUndefined();
  });
});
