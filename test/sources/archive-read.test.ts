import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readTarFiles } from '../../src/sources/archive-read.ts';
import { compress, goodTar, put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();
mkdirSync(join(folder, 'src', 'top', 'sub'), { recursive: true });
writeFileSync(join(folder, 'src', 'top', 'sub', 'wanted'), 'content');
writeFileSync(join(folder, 'src', 'top', 'empty'), '');
writeFileSync(join(folder, 'src', 'top', 'other'), 'x'.repeat(300_000));
symlinkSync('other', join(folder, 'src', 'top', 'link'));
const wanted = new Set(['sub/wanted', 'empty', 'link', 'missing', 'sub']);

test.each([
  ['tar', ''],
  ['gzip', '-z'],
  ['xz', '-J'],
  ['bzip2', '-j'],
] as const)('reads the files that are wanted, and no others, out of %s that the real tar made', async (format, flag) => {
  for (const member of ['top', '.']) {
    const file = join(folder, `read.${format}`);
    execFileSync('tar', ['-cf', file, ...(flag ? [flag] : []), '-C', join(folder, 'src'), ...(member === '.' ? ['./top'] : [member])]);
    const found = await readTarFiles(file, wanted);
    expect([...found].map(([name, content]) => [name, content?.toString()])).toEqual([
      ['sub/wanted', 'content'],
      ['empty', ''],
      ['link', undefined],
      ['missing', undefined],
      ['sub', undefined],
    ]);
  }
});

test.each(['gzip', 'xz', 'bzip2'] as const)('fails on %s that is cut, instead of giving less', async (tool) => {
  const file = put(folder, `cut.${tool}`, compress(tool, await goodTar('t', 'text'.repeat(50_000))).subarray(0, -12));
  await expect(readTarFiles(file, new Set(['README']))).rejects.toThrow();
});
