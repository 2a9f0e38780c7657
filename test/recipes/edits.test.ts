import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SourceError } from '../../src/errors.ts';
import { applyEdits, countOccurrences, editDigest, editedFiles, loadEdits, selectEdits } from '../../src/recipes/edits.ts';
import type { Edit, Substitution } from '../../src/recipes/types.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const edit = (more: Partial<Edit>): Edit => ({ id: 'e', what: 'what', why: 'why', source: 'xen', ...more });
const swap = (find: string, replace: string, count = 1, file = 'a.c'): Substitution => ({ file, find, replace, count });
const files = (entries: Record<string, string>) => new Map(Object.entries(entries).map(([name, text]) => [name, Buffer.from(text)]));
const texts = (changed: Map<string, Buffer>) => Object.fromEntries([...changed].map(([name, bytes]) => [name, bytes.toString('utf8')]));

describe('applyEdits', () => {
  test('replaces as many times as the edit says', () => {
    const edits = [edit({ substitutions: [swap('one', 'two', 2)] })];
    expect(texts(applyEdits(edits, files({ 'a.c': 'one, one.', 'b.c': 'one' })))).toEqual({ 'a.c': 'two, two.' });
  });

  test('refuses a text that stands more often, and names edit, file, expected and seen', async () => {
    const error = await thrownBy(() => applyEdits([edit({ id: 'my-edit', substitutions: [swap('x', 'y')] })], files({ 'a.c': 'xx' })));
    expect(error).toBeInstanceOf(SourceError);
    expect(error).toMatchObject({
      code: 'EDIT_MISMATCH',
      message: "the edit my-edit does not fit xen's a.c",
      expected: '1 × "x"',
      got: '2 ×',
    });
  });

  test.each([
    ['that is not there', swap('zzz', 'y'), '0 ×'],
    ['that stands less often', swap('x', 'y', 3), '2 ×'],
    ['in a file that is not there', swap('x', 'y', 1, 'none.c'), 'no such file'],
    ['that is empty', swap('', 'y'), '0 ×'],
  ])('refuses a text %s', async (_what, substitution, got) => {
    const error = await thrownBy(() => applyEdits([edit({ substitutions: [substitution] })], files({ 'a.c': 'xx' })));
    expect(error).toMatchObject({ code: 'EDIT_MISMATCH', got });
  });

  test('later substitutions and edits see what earlier ones did', () => {
    const edits = [edit({ substitutions: [swap('a', 'b'), swap('b', 'c')] }), edit({ substitutions: [swap('c', 'd')] })];
    expect(texts(applyEdits(edits, files({ 'a.c': 'a' })))).toEqual({ 'a.c': 'd' });
  });

  test('takes both texts as they are: no pattern, no $ sequences', () => {
    const edits = [edit({ substitutions: [swap('$(CFLAGS) .*', "$& $1 $$ $' \\n")] })];
    expect(texts(applyEdits(edits, files({ 'a.c': '<$(CFLAGS) .*>' })))).toEqual({ 'a.c': "<$& $1 $$ $' \\n>" });
  });

  test('adds a file, which a later edit may change', () => {
    const edits = [edit({ create: [{ file: 'new.h', content: 'int é;\n' }] }), edit({ substitutions: [swap('é', 'e', 1, 'new.h')] })];
    expect(texts(applyEdits(edits, new Map([['new.h', undefined]])))).toEqual({ 'new.h': 'int e;\n' });
  });

  test('does not write over a file that it should add', async () => {
    const error = await thrownBy(() => applyEdits([edit({ create: [{ file: 'a.c', content: '' }] })], files({ 'a.c': '' })));
    expect(error).toMatchObject({ code: 'EDIT_MISMATCH', got: 'the file is there' });
  });

  test('leaves what it was given as it was', () => {
    const before = files({ 'a.c': 'x' });
    applyEdits([edit({ substitutions: [swap('x', 'longer')] })], before);
    expect(before).toEqual(files({ 'a.c': 'x' }));
  });

  test('keeps every byte that it does not replace, also those that are no UTF-8', () => {
    const bytes = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(bytes, bytes, (before, after) => {
        const mark = Buffer.from('MÄRK');
        const content = Buffer.concat([before, mark, after]);
        const [, changed] = [...applyEdits([edit({ substitutions: [swap('MÄRK', '')] })], new Map([['a.c', content]]))][0] ?? [];
        expect(changed).toEqual(Buffer.concat([before, after]));
      }),
    );
  });

  test('matches exactly when the text stands as often as the edit says', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('ab', 'a', 'b', '-'), { maxLength: 12 }), fc.integer({ min: 1, max: 5 }), (pieces, count) => {
        const text = pieces.join('');
        const there = [...text.matchAll(/ab/g)].length;
        const apply = () => applyEdits([edit({ substitutions: [swap('ab', '#', count)] })], files({ 'a.c': text }));
        if (there === count) expect(texts(apply())).toEqual({ 'a.c': text.replaceAll(/ab/g, '#') });
        else expect(apply).toThrow(SourceError);
      }),
    );
  });
});

test('occurrences are counted without overlaps', () => {
  expect(countOccurrences('aaaa', 'aa')).toBe(2);
  expect(countOccurrences('aaaa', '')).toBe(0);
});

test('an edit tells which files it changes and which it adds', () => {
  const both = edit({ substitutions: [swap('a', 'b'), swap('c', 'd')], create: [{ file: 'new', content: '' }] });
  expect(editedFiles(both)).toEqual({ changed: ['a.c'], created: ['new'] });
});

describe('selectEdits', () => {
  const edits = [edit({ id: 'old', to: '4.2.5' }), edit({ id: 'wide', arches: ['x86_64'] }), edit({ id: 'new', from: '4.2.0' })];

  test('takes those of the version, in the order given, both ends of a range included', () => {
    expect(selectEdits(edits, '4.2.5', 'x86_64').map(({ id }) => id)).toEqual(['old', 'wide', 'new']);
    expect(selectEdits(edits, '4.3.0', 'x86_64').map(({ id }) => id)).toEqual(['wide', 'new']);
    expect(selectEdits(edits, '4.1.4', 'x86_64').map(({ id }) => id)).toEqual(['old', 'wide']);
  });

  test('leaves out those of other widths', () => {
    expect(selectEdits(edits, '4.2.0', 'x86_32').map(({ id }) => id)).toEqual(['old', 'new']);
  });
});

describe('editDigest', () => {
  const one = edit({ substitutions: [swap('a', 'b')], create: [{ file: 'f', content: 'c' }] });

  test('stays the same when only words or the range change', () => {
    expect(editDigest({ ...one, what: 'x', why: 'y', from: '4.0.0', upstream: 'abc' })).toBe(editDigest(one));
  });

  test.each([
    ['what it finds', { substitutions: [swap('z', 'b')] }],
    ['what it puts', { substitutions: [swap('a', 'z')] }],
    ['how often', { substitutions: [swap('a', 'b', 2)] }],
    ['in which file', { substitutions: [swap('a', 'b', 1, 'z.c')] }],
    ['what it adds', { create: [{ file: 'f', content: 'z' }] }],
    ['whether that can be run', { create: [{ file: 'f', content: 'c', executable: true }] }],
    ['which source it changes', { source: 'mini-os' }],
  ])('changes with %s', (_what, more) => {
    expect(editDigest({ ...one, ...more })).not.toBe(editDigest(one));
  });
});

describe('loadEdits', () => {
  test('reads JSON files by name, and nothing else', () => {
    const folder = tempFolder();
    for (const id of ['b', 'a']) writeFileSync(join(folder, `${id}.json`), JSON.stringify(edit({ id })));
    writeFileSync(join(folder, 'README.md'), 'no edit');
    mkdirSync(join(folder, 'more'));
    expect(loadEdits(folder).map(({ id }) => id)).toEqual(['a', 'b']);
  });

  test.each([
    ['an id that is not its file name', JSON.stringify(edit({ id: 'other' }))],
    ['what is not JSON', '{'],
    ['what is no object', 'null'],
  ])('refuses a file with %s, by name', async (_what, content) => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'mine.json'), content);
    expect(await thrownBy(() => loadEdits(folder))).toMatchObject({
      code: 'CATALOG_INVALID',
      message: expect.stringContaining('mine.json'),
    });
  });
});
