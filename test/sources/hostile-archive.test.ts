import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkArchive } from '../../src/sources/archive-check.ts';
import { compress, goodTar, type MadeEntry, makeTar, put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();
const good: MadeEntry = { name: 't/good', content: 'fine' };
const unsafe = { code: 'SOURCE_ARCHIVE_UNSAFE', exit: 3 };

const cases: [string, MadeEntry[]][] = [
  ['a name that climbs out', [{ name: 't/../../evil', content: 'x' }]],
  ['a name that climbs and comes back', [{ name: 't/../t/evil', content: 'x' }]],
  ['an absolute name', [{ name: '/tmp/evil', content: 'x' }]],
  ['a symbolic link to an absolute path', [{ name: 't/l', type: 'symlink', linkname: '/etc' }]],
  ['a symbolic link that climbs out', [{ name: 't/l', type: 'symlink', linkname: '../../etc' }]],
  ['a symbolic link that climbs above the top folder', [{ name: 't/b', type: 'symlink', linkname: '../x' }]],
  ['a symbolic link that climbs above the top folder and comes back', [{ name: 't/b', type: 'symlink', linkname: '../t/good' }]],
  [
    'a link that climbs above the top folder through another link',
    [
      { name: 't/a/b/up', type: 'symlink', linkname: '../..' },
      { name: 't/out', type: 'symlink', linkname: 'a/b/up/../x' },
    ],
  ],
  ['a hard link that climbs out', [{ name: 't/l', type: 'link', linkname: '../etc/passwd' }]],
  ['a hard link to an absolute path', [{ name: 't/l', type: 'link', linkname: '/etc/passwd' }]],
  ['a hard link to what the archive does not have', [{ name: 't/l', type: 'link', linkname: 't/missing' }]],
  ['a character device', [{ name: 't/null', type: 'character-device', devmajor: 1, devminor: 3 }]],
  ['a block device', [{ name: 't/sda', type: 'block-device', devmajor: 8, devminor: 0 }]],
  ['a fifo', [{ name: 't/pipe', type: 'fifo' }]],
  [
    'a link that climbs out through another link',
    [
      { name: 't/a/b/up', type: 'symlink', linkname: '../..' },
      { name: 't/out', type: 'symlink', linkname: 'a/b/up/../../etc' },
    ],
  ],
  [
    'a link that climbs out through a link that comes after it',
    [
      { name: 't/out', type: 'symlink', linkname: 'a/b/up/../../etc' },
      { name: 't/a/b/up', type: 'symlink', linkname: '../..' },
    ],
  ],
  [
    'a file that is put through a link',
    [
      { name: 't/sub/file', content: 'x' },
      { name: 't/l', type: 'symlink', linkname: 'sub' },
      { name: 't/l/file', content: 'other' },
    ],
  ],
  [
    'a hard link through a link, which the tree id would not see',
    [
      { name: 't/l', type: 'symlink', linkname: '.' },
      { name: 't/hidden', type: 'link', linkname: 't/l/good' },
    ],
  ],
  ['a pax header that makes the file another one for tar', [{ name: 't/a', content: 'x', pax: { 'GNU.sparse.name': 't/other' } }]],
];

/** The first header of a tarball with another type and size. */
function withHeader(tar: Buffer, flag: string, size: number): Buffer {
  const header = Buffer.from(tar.subarray(0, 512));
  header.write(`${size.toString(8).padStart(11, '0')} `, 124);
  header[156] = flag.charCodeAt(0);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

describe('refused before anything is unpacked', () => {
  test.each(cases)('%s', async (what, entries) => {
    const bytes = await makeTar([good, ...entries]);
    const file = put(folder, `${what.replaceAll(/\W+/g, '-')}.tar`, bytes);
    await expect(checkArchive(file, what)).rejects.toMatchObject(unsafe);
    const packed = put(folder, 'packed.tar.xz', compress('xz', bytes));
    await expect(checkArchive(packed, what)).rejects.toMatchObject(unsafe);
  });

  test('a global pax header that renames files for tar', async () => {
    // Written by hand: "27 path=t/other\n" with its own length in front, in an entry of type g.
    const record = '16 path=t/other\n';
    const header = withHeader(await makeTar([{ name: 'g', content: record }]), 'g', record.length);
    const block = Buffer.alloc(512);
    block.write(record);
    const bytes = Buffer.concat([header, block, await goodTar('t')]);
    const file = put(folder, 'global.tar', bytes);
    // What the real tar makes of it: not the names that stand in the entries.
    expect(execFileSync('tar', ['-tf', file], { encoding: 'utf8' })).toContain('t/other');
    await expect(checkArchive(file, 'global')).rejects.toMatchObject(unsafe);
  });

  test.each([
    ['hard link', '1'],
    ['symbolic link', '2'],
  ])('a %s with a size, behind which tar finds other entries than are read here', async (_what, flag) => {
    const hidden = await makeTar([{ name: 't/hidden', content: 'evil' }]);
    const size = 1024;
    const link = withHeader(await makeTar([{ name: 't/l', type: 'symlink', linkname: 't/good' }]), flag, size);
    const bytes = Buffer.concat([(await makeTar([good])).subarray(0, 1024), link, hidden.subarray(0, 1024), await goodTar('t')]);
    const file = put(folder, `size-${flag}.tar`, bytes);
    // For the real tar no content follows the link, so that it takes the hidden file for the next entry.
    if (flag === '1') expect(execFileSync('tar', ['-tf', file], { encoding: 'utf8' })).toContain('t/hidden');
    await expect(checkArchive(file, 'size')).rejects.toMatchObject({ ...unsafe, message: expect.stringContaining('with content: t/l') });
  });

  test('a folder with a size, at which reading would never end', async () => {
    const top = withHeader(await makeTar([{ name: 't/d/', type: 'directory' }]), '5', 512);
    const bytes = Buffer.concat([top, Buffer.alloc(512, 'x'), await goodTar('t')]);
    await expect(checkArchive(put(folder, 'folder-size.tar', bytes), 'size')).rejects.toMatchObject(unsafe);
  });

  test('a real tar that GNU tar packed with absolute names', async () => {
    const inner = join(folder, 'inner');
    mkdirSync(inner, { recursive: true });
    put(inner, 'file', 'x');
    const file = join(folder, 'absolute.tar.bz2');
    execFileSync('tar', ['-cjPf', file, join(inner, 'file')]);
    await expect(checkArchive(file, 'absolute')).rejects.toMatchObject(unsafe);
  });
});

describe('allowed', () => {
  test('links that stay in the tree, also through other links and through folders', async () => {
    const file = put(
      folder,
      'links.tar',
      await makeTar([
        good,
        { name: 't/a/b/file', content: 'x' },
        { name: 't/a/b/up', type: 'symlink', linkname: '../..' },
        { name: 't/through', type: 'symlink', linkname: 'a/b/up/good' },
        { name: 't/back', type: 'symlink', linkname: 'a/../good' },
        { name: 't/dangling', type: 'symlink', linkname: 'nowhere/at/all' },
        { name: 't/loop', type: 'symlink', linkname: 'loop' },
        { name: 't/hard', type: 'link', linkname: 't/good' },
      ]),
    );
    expect(await checkArchive(file, 'links')).toMatchObject({ entries: 8 });
    const out = join(folder, 'out');
    mkdirSync(out);
    execFileSync('tar', ['-xf', file, '-C', out]);
    expect(readFileSync(join(out, 't/through'), 'utf8')).toBe('fine');
    expect(existsSync(join(out, 't/back'))).toBe(true);
  });

  test('the global header with a comment that git archive writes', async () => {
    // 52 comment=<commit>: the usual one; made by git itself in archive-check.test.ts. Here: a file's own pax header.
    const file = put(folder, 'pax.tar', await makeTar([{ name: `t/${'n'.repeat(200)}`, content: 'x', pax: { comment: 'hello' } }]));
    expect(await checkArchive(file, 'pax')).toMatchObject({ entries: 1 });
  });
});
