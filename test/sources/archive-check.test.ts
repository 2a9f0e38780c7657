import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkArchive } from '../../src/sources/archive-check.ts';
import { makeRepo, TRICKY } from '../support/git-repo.ts';
import { compress, goodTar, makeTar, put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();
const repo = makeRepo(join(folder, 'repo'));
repo.commit(TRICKY);
const tree = repo.git('rev-parse', 'HEAD^{tree}');

describe('a good tarball', () => {
  test('that git archive made has the tree id that git says', async () => {
    for (const format of ['tar', 'tar.gz'] as const) {
      const file = join(folder, `archive.${format}`);
      repo.git('archive', `--format=${format}`, '--prefix=xen-4.17.5/', `--output=${file}`, 'HEAD');
      expect(await checkArchive(file, 'xen')).toMatchObject({ format: format === 'tar' ? 'tar' : 'gzip', top: 'xen-4.17.5', tree });
    }
  });

  test.each([
    ['tar', ''],
    ['gzip', '-z'],
    ['xz', '-J'],
    ['bzip2', '-j'],
  ])('packed by the real tar as %s is read to its end', async (format, flag) => {
    const source = join(folder, `plain-${format}`, 'top');
    mkdirSync(join(source, 'sub'), { recursive: true });
    writeFileSync(join(source, 'sub', 'file'), 'x'.repeat(100_000));
    symlinkSync('sub/file', join(source, 'link'));
    symlinkSync('../link', join(source, 'sub', 'up'));
    const file = join(folder, `plain.${format}`);
    execFileSync('tar', ['-cf', file, ...(flag ? [flag] : []), '-C', join(source, '..'), 'top']);
    expect(await checkArchive(file, 'plain')).toMatchObject({ format, top: 'top', entries: 5 });
  });

  test('with a hard link has the tree of two equal files', async () => {
    const other = makeRepo(join(folder, 'hard'));
    other.commit({ one: { run: 'same' }, 'sub/two': { run: 'same' } });
    const file = put(
      folder,
      'hard.tar',
      await makeTar([
        { name: 't/one', content: 'same', mode: 0o755 },
        { name: 't/sub/two', type: 'link', linkname: 't/one' },
      ]),
    );
    expect((await checkArchive(file, 'hard')).tree).toBe(other.git('rev-parse', 'HEAD^{tree}'));
  });

  test.each(['gzip', 'xz', 'bzip2'] as const)('with a damaged header inside %s is refused with that reason', async (tool) => {
    const bytes = await makeTar([{ name: 't/large', content: Buffer.alloc(400_000, 'x') }, { name: 't/next' }]);
    bytes.write('9', bytes.indexOf('t/next') + 100);
    const file = put(folder, `damaged.${tool}`, compress(tool, bytes));
    await expect(checkArchive(file, 'it')).rejects.toMatchObject({
      code: 'SOURCE_ARCHIVE_BROKEN',
      message: expect.stringContaining('Invalid tar header'),
    });
  });

  test('may write its names with ./ in front', async () => {
    const source = join(folder, 'dot');
    mkdirSync(join(source, 'top'), { recursive: true });
    writeFileSync(join(source, 'top', 'file'), 'x');
    const file = join(folder, 'dot.tar');
    execFileSync('tar', ['-cf', file, '-C', source, '.']);
    expect(await checkArchive(file, 'dot')).toMatchObject({ top: 'top' });
  });

  test('has a tree id that every byte, mode and name counts for', async () => {
    const variants = [
      { name: 't/a', content: 'one' },
      { name: 't/a', content: 'two' },
      { name: 't/b', content: 'one' },
      { name: 't/a', content: 'one', mode: 0o755 },
      { name: 't/a', type: 'symlink', linkname: 'one' } as const,
    ];
    const trees = new Set<string>();
    for (const [i, entry] of variants.entries()) {
      trees.add((await checkArchive(put(folder, `variant-${i}.tar`, await makeTar([{ mode: 0o644, ...entry }])), 'v')).tree);
    }
    expect(trees.size).toBe(variants.length);
  });
});

describe('a broken tarball', () => {
  test.each(['gzip', 'xz', 'bzip2'] as const)('that is cut in its %s data is refused', async (tool) => {
    const whole = compress(tool, await goodTar('t', 'text'.repeat(50_000)));
    for (const at of [whole.length - 1, whole.length >> 1, 20]) {
      const file = put(folder, `cut-${at}.${tool}`, whole.subarray(0, at));
      await expect(checkArchive(file, 'cut')).rejects.toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN', exit: 3 });
    }
  });

  test('that is cut inside a file is refused', async () => {
    const file = put(folder, 'cut.tar', (await makeTar([{ name: 't/a', content: 'x'.repeat(5000) }])).subarray(0, 3000));
    await expect(checkArchive(file, 'cut')).rejects.toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN' });
  });

  test.each([
    ['an empty file', Buffer.alloc(0)],
    ['a tarball of nothing', Buffer.alloc(10_240)],
    ['random bytes', Buffer.alloc(4096, 'garbage ')],
    ['a web page', Buffer.from('<!doctype html><title>Not here</title>')],
    ['a gzip header and nothing else', Buffer.from('1f8b0800000000000003', 'hex')],
    ['an xz header and garbage', Buffer.concat([Buffer.from('fd377a585a00', 'hex'), Buffer.alloc(100, 'x')])],
    ['a bzip2 header and garbage', Buffer.from(`BZh9${'x'.repeat(100)}`)],
    ['gzip of garbage', compress('gzip', Buffer.alloc(4096, 'garbage '))],
  ])('%s is refused, by name', async (what, bytes) => {
    const file = put(folder, what.replaceAll(' ', '-'), bytes);
    const error = await checkArchive(file, 'thing.tar.gz from a place').catch((reason) => reason);
    expect(error).toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN', exit: 3 });
    expect(error.message).toContain('thing.tar.gz from a place');
  });

  test('with two folders at its top is refused, and both are named', async () => {
    const file = put(folder, 'two.tar', await makeTar([{ name: 'one/a' }, { name: 'two/a' }]));
    await expect(checkArchive(file, 'two')).rejects.toMatchObject({
      code: 'SOURCE_ARCHIVE_BROKEN',
      message: expect.stringMatching(/more than one folder.*one, two/),
    });
  });

  test.each([
    ['a file', { name: 'alone', content: 'x' }],
    ['a link', { name: 'top', type: 'symlink', linkname: 'elsewhere' } as const],
  ])('with %s at its top instead of a folder is refused', async (_what, entry) => {
    const file = put(folder, 'no-top.tar', await makeTar([entry]));
    await expect(checkArchive(file, 'no-top')).rejects.toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN' });
  });
});
