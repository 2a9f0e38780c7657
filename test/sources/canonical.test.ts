import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { writeCanonical } from '../../src/sources/canonical.ts';
import { hasJudge } from '../support/judges.ts';
import { compress, type MadeEntry, makeTar, resum, tempFolder } from '../support/tar-maker.ts';
import { treeOf } from '../support/tree.ts';

const folder = tempFolder();
const fresh = () => mkdtempSync(join(folder, 'case-'));
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** What a source tree may hold: content and permission of files, targets of links, empty folders. */
type Made = { content: string; executable: boolean } | { target: string } | 'folder';
type MadeTree = Record<string, Made>;

const part = fc.oneof(
  fc.constantFrom('a', 'b', 'Makefile', 'ü', 'with blank'),
  fc.string({ unit: fc.constantFrom('x', 'y'), minLength: 1, maxLength: 90 }),
);
const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const made: fc.Arbitrary<Made> = fc.oneof(
  fc.record({ content: fc.oneof(fc.string(), fc.constant('z'.repeat(70_000))), executable: fc.boolean() }),
  fc.record({ target: fc.constantFrom('a', 'missing', 'b'.repeat(120), './ü') }),
  fc.constant('folder' as const),
);
/** Trees in which no path leads through a file or a link. */
const trees = fc
  .dictionary(path, made, { minKeys: 1, maxKeys: 8, noNullPrototype: true })
  .map(
    (all) =>
      Object.fromEntries(
        Object.entries(all).filter(([name]) => !Object.keys(all).some((other) => name.startsWith(`${other}/`))),
      ) as MadeTree,
  );

function lay(tree: MadeTree, where: string): void {
  mkdirSync(join(where, 'top'), { recursive: true });
  for (const [name, node] of Object.entries(tree)) {
    const at = join(where, 'top', name);
    mkdirSync(node === 'folder' ? at : join(at, '..'), { recursive: true });
    if (node === 'folder') continue;
    if ('target' in node) symlinkSync(node.target, at);
    else {
      writeFileSync(at, node.content);
      chmodSync(at, node.executable ? 0o755 : 0o644);
    }
  }
}

/** What a folder holds, as entries of tar-stream. */
function entriesOf(place: string, name: string): MadeEntry[] {
  return readdirSync(place, { withFileTypes: true }).flatMap((entry): MadeEntry[] => {
    const [at, inside] = [join(place, entry.name), `${name}/${entry.name}`];
    if (entry.isDirectory()) return [{ name: `${inside}/`, type: 'directory', mode: 0o755 }, ...entriesOf(at, inside)];
    if (entry.isSymbolicLink()) return [{ name: inside, type: 'symlink', linkname: readlinkSync(at) }];
    return [{ name: inside, content: readFileSync(at), mode: statSync(at).mode & 0o777 }];
  });
}

const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 28 });
const python = (script: string, ...args: string[]) => run('python3', '-c', script, ...args);
const pyWrite = (format: string) => (source: string, to: string) =>
  void python(
    `import sys,tarfile,os\nt=tarfile.open(sys.argv[2],"w",format=tarfile.${format}_FORMAT)\nos.chdir(sys.argv[1])\nt.add("top")\nt.close()`,
    source,
    to,
  );

/** Writers of tar, each with the formats that it has. The oldest formats cannot hold every name. */
const writers: Record<string, (source: string, to: string) => void | Promise<void>> = {
  'tar-stream': async (source, to) => writeFileSync(to, await makeTar(entriesOf(join(source, 'top'), 'top'))),
  'GNU tar, v7': (source, to) => void run('tar', '--format=v7', '-cf', to, '-C', source, 'top'),
  'GNU tar, old GNU': (source, to) => void run('tar', '--format=oldgnu', '-cf', to, '-C', source, 'top'),
  'GNU tar, GNU': (source, to) => void run('tar', '--format=gnu', '-cf', to, '-C', source, 'top'),
  'GNU tar, ustar': (source, to) => void run('tar', '--format=ustar', '-cf', to, '-C', source, 'top'),
  'GNU tar, pax': (source, to) => void run('tar', '--format=pax', '-cf', to, '-C', source, 'top'),
  'Python, ustar': pyWrite('USTAR'),
  'Python, GNU': pyWrite('GNU'),
  'Python, pax': pyWrite('PAX'),
  ...(hasJudge('bsdtar')
    ? {
        'bsdtar, pax': (source: string, to: string) => void run('bsdtar', '--format=pax', '-cf', to, '-C', source, 'top'),
        'bsdtar, ustar': (source: string, to: string) => void run('bsdtar', '--format=ustar', '-cf', to, '-C', source, 'top'),
        'bsdtar, v7': (source: string, to: string) => void run('bsdtar', '--format=v7tar', '-cf', to, '-C', source, 'top'),
      }
    : {}),
  ...(hasJudge('busybox') ? { busybox: (source: string, to: string) => void run('busybox', 'tar', '-cf', to, '-C', source, 'top') } : {}),
};

/** Readers of tar, each unpacks into a folder. */
const readers: Record<string, (archive: string, to: string) => void> = {
  'GNU tar': (archive, to) => void run('tar', '-xf', archive, '-C', to),
  Python: (archive, to) => void python('import sys,tarfile\ntarfile.open(sys.argv[1]).extractall(sys.argv[2])', archive, to),
  ...(hasJudge('bsdtar') ? { bsdtar: (archive: string, to: string) => void run('bsdtar', '-xf', archive, '-C', to) } : {}),
  ...(hasJudge('busybox') ? { busybox: (archive: string, to: string) => void run('busybox', 'tar', '-xf', archive, '-C', to) } : {}),
};

const canonical = (archive: string, to: string, more: Partial<Parameters<typeof writeCanonical>[2]> = {}) =>
  writeCanonical(archive, to, { name: 'it', sha256: sha256(archive), top: 'top', ...more });

describe('the canonical form', () => {
  test.each(Object.keys(writers))('of what %s writes unpacks alike everywhere, to what GNU tar unpacks of the original', async (writer) => {
    await fc.assert(
      fc.asyncProperty(trees, fc.constantFrom('gzip', 'xz', 'bzip2', undefined), async (tree, tool) => {
        const work = fresh();
        lay(tree, join(work, 'made'));
        let archive = join(work, 'a.tar');
        try {
          await writers[writer]?.(join(work, 'made'), archive);
        } catch {
          // The format cannot hold this name: there is no archive to read.
          fc.pre(false);
        }
        mkdirSync(join(work, 'original'));
        run('tar', '-xf', archive, '-C', join(work, 'original'));
        if (tool !== undefined) {
          writeFileSync(`${archive}.z`, compress(tool, readFileSync(archive)));
          archive = `${archive}.z`;
        }
        const size = await canonical(archive, join(work, 'c.tar'));
        expect(readFileSync(join(work, 'c.tar'))).toHaveLength(size);
        for (const [name, unpack] of Object.entries(readers)) {
          mkdirSync(join(work, name));
          unpack(join(work, 'c.tar'), join(work, name));
          expect(treeOf(join(work, name)), name).toEqual(treeOf(join(work, 'original')));
        }
        // Nothing is left beside it.
        expect(readdirSync(work).filter((name) => name.startsWith('.'))).toEqual([]);
        rmSync(work, { recursive: true });
      }),
      { numRuns: 5 },
    );
  });

  test('is the same, byte for byte, whatever wrote the archive, in whatever order and with whatever times', async () => {
    const work = fresh();
    lay({ 'sub/one': { content: '1', executable: true }, two: { target: 'sub/one' }, empty: 'folder' }, work);
    const sums = new Set<string>();
    for (const [name, write] of Object.entries(writers)) {
      await write(work, join(work, `${name}.tar`));
      await canonical(join(work, `${name}.tar`), join(work, `${name}.out`));
      sums.add(sha256(join(work, `${name}.out`)));
    }
    const reversed = join(work, 'reversed.tar');
    run('tar', '--mtime=@5', '--owner=7', '-cf', reversed, '-C', work, 'top/two', 'top/sub/one', 'top/empty');
    await canonical(reversed, join(work, 'reversed.out'));
    sums.add(sha256(join(work, 'reversed.out')));
    expect(sums.size).toBe(1);
  });

  test('takes the last of several entries of one name, and hard links as files of their own, as GNU tar does', async () => {
    const work = fresh();
    const archive = join(work, 'a.tar');
    const entries = [
      { name: 'top/one', content: 'first' },
      { name: 'top/two', type: 'link' as const, linkname: 'top/one' },
      { name: 'top/one', content: 'second' },
    ];
    writeFileSync(archive, await makeTar(entries));
    await canonical(archive, join(work, 'c.tar'));
    for (const [file, to] of [
      [archive, 'original'],
      [join(work, 'c.tar'), 'canonical'],
    ] as const) {
      mkdirSync(join(work, to));
      run('tar', '-xf', file, '-C', join(work, to));
    }
    expect(treeOf(join(work, 'canonical'))).toEqual(treeOf(join(work, 'original')));
    expect(readFileSync(join(work, 'canonical/top/two'), 'utf8')).toBe('first');
  });

  test('of a folder of the archive has that folder alone, under the name that is wanted', async () => {
    const work = fresh();
    lay({ 'extras/mini-os/main.c': { content: 'm', executable: false }, Makefile: { content: 'x', executable: false } }, work);
    run('tar', '-czf', join(work, 'a.tgz'), '-C', work, 'top');
    await canonical(join(work, 'a.tgz'), join(work, 'c.tar'), { top: 'mini-os', folder: 'extras/mini-os' });
    expect(run('tar', '-tf', join(work, 'c.tar')).toString()).toBe('mini-os/\nmini-os/main.c\n');
    await expect(canonical(join(work, 'a.tgz'), join(work, 'd.tar'), { folder: 'extras/none' })).rejects.toMatchObject({
      code: 'SOURCE_ARCHIVE_BROKEN',
    });
    expect(existsSync(join(work, 'd.tar'))).toBe(false);
  });

  test('is refused for a file that has changed since it was proved, and where a folder is not the tree that is pinned', async () => {
    const work = fresh();
    lay({ 'extras/mini-os/main.c': { content: 'm', executable: false } }, work);
    run('git', 'init', '-q', join(work, 'top/extras/mini-os'));
    const git = (...args: string[]) =>
      run('git', '-C', join(work, 'top/extras/mini-os'), ...args)
        .toString()
        .trim();
    git('add', 'main.c');
    const tree = git('write-tree');
    rmSync(join(work, 'top/extras/mini-os/.git'), { recursive: true });
    run('tar', '-cf', join(work, 'a.tar'), '-C', work, 'top');
    await canonical(join(work, 'a.tar'), join(work, 'c.tar'), { trees: { 'extras/mini-os': tree, 'extras/none': tree } });
    const other = { trees: { 'extras/mini-os': tree.replace(/./, (digit) => (digit === '0' ? '1' : '0')) } };
    await expect(canonical(join(work, 'a.tar'), join(work, 'd.tar'), other)).rejects.toMatchObject({
      code: 'SOURCE_MISMATCH',
      got: `tree ${tree}`,
    });
    const changed = { sha256: sha256(join(work, 'c.tar')) };
    await expect(canonical(join(work, 'a.tar'), join(work, 'd.tar'), changed)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(readdirSync(work).sort()).toEqual(['a.tar', 'c.tar', 'top']);
  });

  test('of a changed header reads alike everywhere, or the archive is refused', async () => {
    const work = fresh();
    lay(
      {
        'sub/file': { content: 'content', executable: false },
        link: { target: 'sub/file' },
        ['l'.repeat(120)]: { content: 'x', executable: true },
      },
      work,
    );
    const bases = ['GNU tar, v7', 'GNU tar, GNU', 'GNU tar, pax'].map((name) => {
      const from = join(work, `${name}.tar`);
      if (name.endsWith('v7')) run('tar', '--format=v7', '-cf', from, '-C', work, 'top/sub', 'top/link');
      else void writers[name]?.(work, from);
      return readFileSync(from);
    });
    const change = fc.record({ base: fc.constantFrom(...bases), at: fc.nat(511), byte: fc.nat(255), block: fc.nat(7), sum: fc.boolean() });
    let read = 0;
    await fc.assert(
      fc.asyncProperty(change, async ({ base, at, byte, block, sum }) => {
        const here = fresh();
        const bytes = Buffer.from(base);
        const start = Math.min(block * 512, bytes.length - 512);
        bytes[start + at] = byte;
        if (sum) {
          const header = bytes.subarray(start, start + 512);
          resum(header);
        }
        writeFileSync(join(here, 'a.tar'), bytes);
        try {
          await canonical(join(here, 'a.tar'), join(here, 'c.tar'));
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/^SOURCE_(ARCHIVE_(UNSAFE|BROKEN)|TOO_LARGE)$/);
          expect(readdirSync(here)).toEqual(['a.tar']);
          return;
        } finally {
          rmSync(join(here, 'a.tar'));
        }
        read++;
        const seen = Object.entries(readers).map(([name, unpack]) => {
          mkdirSync(join(here, name));
          unpack(join(here, 'c.tar'), join(here, name));
          return treeOf(join(here, name));
        });
        for (const one of seen) expect(one).toEqual(seen[0]);
        rmSync(here, { recursive: true });
      }),
      { numRuns: 60 },
    );
    expect(read).toBeGreaterThan(3);
  });

  test('of grub-0.97 as automake packed it, a V7 tar with folders by their slash, is read', async () => {
    const work = fresh();
    // `tar chof`, as automake of that time called it.
    lay({ 'docs/grub.texi': { content: 'text', executable: false }, configure: { content: '#!', executable: true } }, work);
    run('tar', '--format=v7', '-chof', join(work, 'v7.tar'), '-C', work, 'top');
    const bytes = readFileSync(join(work, 'v7.tar'));
    expect(bytes.subarray(257, 262).toString('latin1')).toBe('\0'.repeat(5));
    // Before the type for folders there was only the slash.
    for (let at = 0; at < bytes.length; at += 512) {
      const header = bytes.subarray(at, at + 512);
      if (header[156] !== 0x35) continue;
      header[156] = 0;
      resum(header);
    }
    writeFileSync(join(work, 'older.tar'), bytes);
    await canonical(join(work, 'older.tar'), join(work, 'c.tar'));
    expect(spawnSync('tar', ['-tf', join(work, 'c.tar')]).stdout.toString()).toBe('top/\ntop/configure\ntop/docs/\ntop/docs/grub.texi\n');
  });
});
