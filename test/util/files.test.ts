import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isDiskFull } from '../../src/errors.ts';
import { besides, ifThere, writeFileAtomic } from '../../src/util/files.ts';
import { tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();

describe('writeFileAtomic', () => {
  test('makes the folders above and replaces what is there', async () => {
    const file = join(folder, 'new', 'deep', 'file');
    await writeFileAtomic(file, 'one');
    await writeFileAtomic(file, Buffer.from('two'));
    expect(readFileSync(file, 'utf8')).toBe('two');
    expect(readdirSync(dirname(file))).toEqual(['file']);
  });

  test('leaves the old content and no other file where the new one cannot be put in its place', async () => {
    const taken = join(folder, 'taken');
    mkdirSync(join(taken, 'old'), { recursive: true });
    writeFileSync(join(taken, 'old', 'content'), 'old');
    // A folder that is not empty cannot be replaced by a file.
    await expect(writeFileAtomic(join(taken, 'old'), 'new')).rejects.toMatchObject({ code: /EISDIR|ENOTEMPTY|EEXIST/ });
    expect(readdirSync(taken)).toEqual(['old']);
    expect(readFileSync(join(taken, 'old', 'content'), 'utf8')).toBe('old');
  });

  test('leaves the old content and no other file when the disk is full', async (context) => {
    const small = join(folder, 'small');
    mkdirSync(small);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', small], { stdio: 'pipe' });
    } catch {
      return context.skip('no right to mount a file system here');
    }
    try {
      await writeFileAtomic(join(small, 'file'), 'old');
      const error = await writeFileAtomic(join(small, 'file'), Buffer.alloc(200_000)).catch((reason) => reason);
      expect(isDiskFull(error)).toBe(true);
      expect(readdirSync(small)).toEqual(['file']);
      expect(readFileSync(join(small, 'file'), 'utf8')).toBe('old');
    } finally {
      execFileSync('umount', [small]);
    }
  });

  test('never shows a reader a half, however many write at once', async () => {
    const file = join(folder, 'busy');
    const contents = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(300_000));
    await writeFileAtomic(file, contents[0] as string);
    const seen = new Set<string>();
    let writing = true;
    const reader = (async () => {
      while (writing) seen.add(await readFile(file, 'utf8'));
    })();
    await Promise.all(contents.map((content) => writeFileAtomic(file, content)));
    writing = false;
    await reader;
    for (const content of seen) expect(contents).toContain(content);
  });
});

test('besides gives another hidden name in the same folder each time', () => {
  const names = [besides('/some/where/file'), besides('/some/where/file')];
  expect(new Set(names).size).toBe(2);
  for (const name of names) {
    expect(dirname(name)).toBe('/some/where');
    expect(basename(name)).toMatch(/^\.file\..+\.part$/);
  }
});

test('ifThere gives undefined for what does not exist, and passes other errors on', async () => {
  expect(await ifThere(readFile(join(folder, 'missing')))).toBeUndefined();
  await expect(ifThere(readFile(folder))).rejects.toMatchObject({ code: 'EISDIR' });
});
