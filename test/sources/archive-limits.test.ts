import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { productRoot } from '../../src/catalog/load.ts';
import { checkArchive } from '../../src/sources/archive-check.ts';
import { ARCHIVE_LIMITS } from '../../src/sources/archive-format.ts';
import { writeCanonical } from '../../src/sources/canonical.ts';
import { Store } from '../../src/sources/store.ts';
import { importSources } from '../../src/sources/transfer.ts';
import { makeRepo } from '../support/git-repo.ts';
import { compress, digest, goodTar, makeRef, makeTar, put, resum, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();
const fresh = () => mkdtempSync(join(folder, 'case-'));
const small = { unpacked: 200_000, entries: 20, names: 2000, name: 300 };

describe('an archive beyond a limit is refused with the limit', () => {
  test.each([
    ['a file that is too large', [{ name: 't/f', content: Buffer.alloc(250_000) }], 'at most 200000 bytes'],
    ['too many files', Array.from({ length: 25 }, (_, n) => ({ name: `t/${n}` })), 'at most 20'],
    ['too many folders in few names', [1, 2].map((n) => ({ name: `t/${`${n}/`.repeat(15)}f` })), 'at most 20'],
    ['too much in names', Array.from({ length: 10 }, (_, n) => ({ name: `t/${n}${'x'.repeat(230)}` })), 'at most 2000'],
  ])('%s', async (what, entries, expected) => {
    const file = put(fresh(), 'a.tar', await makeTar(entries));
    await expect(checkArchive(file, what, small)).rejects.toMatchObject({ code: 'SOURCE_TOO_LARGE', exit: 3, expected });
  });

  test.each(['gzip', 'bzip2', 'xz'] as const)('what unpacks to too much, in %s, is not unpacked to its end', async (tool) => {
    const file = put(fresh(), 'a', compress(tool, await makeTar([{ name: 't/f', content: Buffer.alloc(5_000_000) }])));
    expect(statSync(file).size).toBeLessThan(small.unpacked);
    await expect(checkArchive(file, 'it', small)).rejects.toMatchObject({
      code: 'SOURCE_TOO_LARGE',
      message: expect.stringContaining('unpacks to more'),
    });
  });

  test('xz that wants hundreds of megabytes of memory', async () => {
    const from = put(fresh(), 'a.tar', await makeTar([{ name: 't/f', content: Buffer.alloc(10) }]));
    execFileSync('xz', ['--lzma2=dict=512MiB', '-k', from]);
    await expect(checkArchive(`${from}.xz`, 'it')).rejects.toMatchObject({ code: 'SOURCE_TOO_LARGE', expected: 'at most 100MiB' });
  });

  test('each real source fits twice', () => {
    const { externals } = JSON.parse(readFileSync(join(productRoot, 'catalog/externals.json'), 'utf8')) as {
      externals: { size: number }[];
    };
    // newlib 1.16.0 unpacks to six times its size.
    expect(Math.max(...externals.map(({ size }) => size)) * 12).toBeLessThan(ARCHIVE_LIMITS.unpacked);
  });
});

test.each([
  ['a zip archive', Buffer.from('PK\x03\x04 and so on')],
  ['compressed with zstd', Buffer.concat([Buffer.from('28b52ffd', 'hex'), Buffer.alloc(600)])],
  ['compressed with lzip', Buffer.from('LZIP\x01')],
  ['compressed with lzma', Buffer.concat([Buffer.from('5d0000', 'hex'), Buffer.alloc(600)])],
  ['a cpio archive', Buffer.from(`070701${'0'.repeat(600)}`)],
  ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n')],
  ['an HTML or XML page', Buffer.from(`<!DOCTYPE html>\n<title>404</title>${' '.repeat(600)}`)],
])('a file that is %s is refused in these words', async (what, bytes) => {
  const file = put(fresh(), 'a', bytes);
  await expect(checkArchive(file, 'it')).rejects.toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN', message: expect.stringContaining(what) });
});

test('a sparse file, in each form that GNU tar has, is refused as one', async () => {
  const work = fresh();
  execFileSync('sh', ['-c', 'mkdir t && truncate -s 5M t/holes && printf x >> t/holes'], { cwd: work });
  for (const format of ['gnu', 'pax --sparse-version=0.0', 'pax --sparse-version=0.1', 'pax --sparse-version=1.0']) {
    execFileSync('sh', ['-c', `tar --sparse --format=${format} -cf a.tar t`], { cwd: work });
    await expect(checkArchive(join(work, 'a.tar'), format)).rejects.toMatchObject({
      code: 'SOURCE_ARCHIVE_UNSAFE',
      message: expect.stringMatching(/sparse file/),
    });
  }
});

test('gzip of several members is read whole', async () => {
  const tar = await goodTar('t', 'text');
  const members = Buffer.concat([compress('gzip', tar.subarray(0, 700)), compress('gzip', tar.subarray(700))]);
  expect(await checkArchive(put(fresh(), 'a.gz', members), 'it')).toMatchObject({ format: 'gzip', entries: 3 });
});

describe('an archive for import', () => {
  const repo = makeRepo(join(folder, 'repo'));
  const commit = repo.commit({ 'inflate.c': 'the real one', FAQ: 'f' });
  const commitObject = execFileSync('git', ['-C', repo.path, 'cat-file', 'commit', commit]);
  const ref = makeRef({ name: 'zlib', version: '1.2.3', file: 'zlib-1.2.3.tar.gz', top: 'zlib-1.2.3', pins: { commit } });

  /** An archive with one source that names a public commit. */
  async function archiveOf(bytes: Buffer, format: string): Promise<string> {
    const sha256 = digest('sha256', bytes);
    const record = {
      ...{ schema: 1, name: 'zlib', version: '1.2.3', file: ref.file, sha256, sha512: digest('sha512', bytes), size: bytes.length },
      ...{ format, top: 'zlib-1.2.3', origin: 'x', commitObject: commitObject.toString('base64') },
    };
    return put(
      fresh(),
      'sources.tar',
      await makeTar([
        { name: `records/zlib@1.2.3.${sha256}.json`, content: JSON.stringify(record) },
        { name: `sha256/${sha256}`, content: bytes },
      ]),
    );
  }

  test('that unpacks to gigabytes of names takes little memory and no time, measured by the kernel', async () => {
    const bomb = join(fresh(), 'bomb.gz');
    // A pax header of 1 MB for each of 300 files, as the import that took 4.4 GB had.
    execFileSync('python3', [
      '-c',
      `import gzip,sys
def header(name,size,flag):
    h=bytearray(512); h[0:len(name)]=name; h[100:107]=b'0000644'; h[108:115]=h[116:123]=b'0000000'
    h[124:135]=b'%011o'%size; h[136:147]=b'0'*11; h[156:157]=flag; h[257:265]=b'ustar\\x0000'; h[148:156]=b' '*8
    h[148:156]=(b'%06o'%sum(h))+b'\\0 '; return bytes(h)
with gzip.open(sys.argv[1],'wb',1) as g:
    for i in range(300):
        body=b' path=zlib-1.2.3/%08d'%i+b'a'*2**20+b'\\n'; n=len(body)
        while len(str(n))+len(body)!=n: n=len(str(n))+len(body)
        rec=str(n).encode()+body
        g.write(header(b'x',len(rec),b'x')+rec+b'\\0'*(-len(rec)%512)+header(b'f',0,b'0'))
    g.write(b'\\0'*1024)`,
      bomb,
    ]);
    const script = join(fresh(), 'check.ts');
    const module = (name: string) => JSON.stringify(pathToFileURL(join(productRoot, 'src/sources', name)).href);
    writeFileSync(
      script,
      `import { checkArchive } from ${module('archive-check.ts')};
await checkArchive(process.argv[2], 'bomb').catch((error) => console.log(error.code));
console.log(process.resourceUsage().maxRSS);`,
    );
    const { stdout } = spawnSync(process.execPath, [script, bomb], { encoding: 'utf8' });
    const [code, kilobytes] = stdout.trim().split('\n');
    expect(code).toBe('SOURCE_ARCHIVE_UNSAFE');
    expect(Number(kilobytes)).toBeLessThan(300_000);
    // A tree from git is never compressed: as an import it is not even unpacked.
    const store = new Store(join(fresh(), 'store'));
    const { refused } = await importSources(await archiveOf(readFileSync(bomb), 'gzip'), store, () => ref, []);
    expect(refused[0]?.reason).toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN', message: expect.stringContaining('compressed') });
    expect(readdirSync(join(store.folder, 'incoming'))).toEqual([]);
  });

  test('whose commit holds for our reader and not for GNU tar is refused', async () => {
    const evil = Buffer.from('not zlib');
    const plain = await makeTar([
      { name: 'zlib-1.2.3/inflate.c', content: 'the real one' },
      { name: 'zlib-1.2.3/FAQ', content: 'f' },
    ]);
    // A pax header whose record has two blanks: "size" for GNU tar, " size" for others. And a hidden file in the body of another.
    const hidden = await makeTar([{ name: 'zlib-1.2.3/inflate.c', content: evil }]);
    const comment = hidden.subarray(0, 1024);
    const record = (text: string) => {
      let size = text.length;
      while (String(size).length + text.length !== size) size = String(size).length + text.length;
      return `${size}${text}`;
    };
    const pax = (body: string | Buffer) => makeHeader('x', 'x', Buffer.from(body));
    const faq = makeHeader('zlib-1.2.3/FAQ', '0', Buffer.from('f'));
    const big = Buffer.concat([
      Buffer.from(record(` comment=${'.'.repeat(400)}`).padEnd(512, '.')),
      comment,
      Buffer.alloc(511, '.'),
      Buffer.from('\n'),
    ]);
    const archive = Buffer.concat([
      plain.subarray(0, plain.length - 1024),
      pax(record(`  size=${512 + 512 + 512}\n`)),
      faq,
      pax(big),
      faq,
      Buffer.alloc(1024),
    ]);
    const gnu = fresh();
    const file = put(gnu, 'a.tar', archive);
    spawnSync('tar', ['-xf', file, '-C', gnu]);
    const store = new Store(join(fresh(), 'store'));
    const { added, refused } = await importSources(await archiveOf(archive, 'tar'), store, () => ref, []);
    // Refused, because programs read it differently. Without that, what is unpacked is what was proved.
    expect(added).toEqual([]);
    expect(refused[0]?.reason).toMatchObject({ code: 'SOURCE_ARCHIVE_UNSAFE', message: expect.stringContaining('pax header') });
    const out = fresh();
    await writeCanonical(file, join(out, 'c.tar'), { name: 'it', sha256: digest('sha256', archive), top: 't' }).catch(() => {});
    expect(readdirSync(out)).toEqual([]);
  });

  test('with one source twice, or with a record that is too large, is refused, and nothing is left', async () => {
    const tar = await goodTar('zlib-1.2.3');
    const one = readFileSync(await archiveOf(tar, 'tar'));
    const twice = put(fresh(), 'twice.tar', Buffer.concat([one.subarray(0, one.length - 1024), one]));
    const store = new Store(join(fresh(), 'store'));
    await expect(importSources(twice, store, () => ref, ['zlib'])).rejects.toMatchObject({ message: expect.stringContaining('twice') });
    const large = put(
      fresh(),
      'large.tar',
      await makeTar([{ name: `records/zlib@1.2.3.${'0'.repeat(64)}.json`, content: ' '.repeat(2 ** 20 + 1) }]),
    );
    await expect(importSources(large, store, () => ref, [])).rejects.toMatchObject({ code: 'SOURCE_TOO_LARGE', exit: 3 });
    expect(existsSync(join(store.folder, 'incoming')) ? readdirSync(join(store.folder, 'incoming')) : []).toEqual([]);
  });
});

/** One entry of a tar, with its content. */
function makeHeader(name: string, type: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0, 'latin1');
  header.write('0000644\x000000000\x000000000\x00', 100, 'latin1');
  header.write(`${content.length.toString(8).padStart(11, '0')}\x0000000000000\x00`, 124, 'latin1');
  header.write(type, 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  resum(header);
  return Buffer.concat([header, content, Buffer.alloc(-content.length & 511)]);
}
