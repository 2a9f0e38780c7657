import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { miniOsSource } from '../../src/catalog/resolve.ts';
import type { Release, SourceRef } from '../../src/catalog/types.ts';
import { lockedCatalog, readLock } from '../../src/sources/lock.ts';
import { canonicalFile, Store, type StoredSource } from '../../src/sources/store.ts';
import { makeKey, type TestKey } from '../support/openpgp-key.ts';
import { makeProduct, type Product } from '../support/product.ts';

let key: TestKey;
let product: Product;
beforeAll(async () => {
  key = await makeKey();
});
beforeEach(() => {
  product = makeProduct();
});
afterEach(() => product.remove());

const tarball = () => join(product.standIn.folder, 'xen-4.2.5.tar.gz');
const lockFile = () => join(product.folder, 'sources.lock.json');

/** A catalog that has no checksum of the tarball, and a folder with tarball and signature. */
async function arrange({
  release = {},
  hash = 'sha256' as 'sha256' | 'sha1',
}: {
  release?: Partial<Release>;
  hash?: 'sha256' | 'sha1';
} = {}) {
  const { xen } = product.standIn.data.catalog;
  const { version, date } = xen.releases[0] as Release;
  const file = join(product.folder, 'data/catalog/xen.json');
  writeFileSync(file, JSON.stringify({ ...xen, key: key.fingerprint, releases: [{ version, date, commit: 'c'.repeat(40), ...release }] }));
  writeFileSync(`${tarball()}.sig`, await key.sign(readFileSync(tarball()), { hash }));
  writeFileSync(join(product.folder, 'key.asc'), key.armored);
}

const lock = (more: string[] = []) =>
  product.call(['sources', 'lock', '--key-file', 'key.asc', '--progress', 'quiet', ...product.origins(['xen']), ...more]);
const digest = (name: string) => createHash(name).update(readFileSync(tarball())).digest('hex');

test('a signed tarball is locked, pinned by later runs, and its bytes are in the store', async () => {
  await arrange();
  expect((await product.call(['matrix', 'pv-grub-4.2.5-x86_64', '--why'])).stdout).toMatch(/source +xen 4\.2\.5 .* commit cccc/);
  const called = await lock();
  expect(called).toMatchObject({ code: 0, stdout: '' });
  expect(called.stderr).toMatch(/signed on 2014-09-02 over sha256\n1 of 1 tarballs locked/);
  expect(JSON.parse(readFileSync(lockFile(), 'utf8')).xen['4.2.5']).toMatchObject({
    ...{ sha256: digest('sha256'), sha512: digest('sha512') },
    signature: { key: key.fingerprint, hash: 'sha256', made: '2014-09-02' },
  });
  const why = (await product.call(['matrix', 'pv-grub-4.2.5-x86_64', '--why'])).stdout;
  expect(why).toContain(`sha256 ${digest('sha256').slice(0, 12)}…  in the store`);
  const fetched = await product.call(['sources', 'fetch', '--offline', ...product.origins()]);
  expect(fetched.code).toBe(0);
  // Another tarball is refused now, wherever it comes from.
  appendFileSync(tarball(), 'x');
  const wrong = await product.call(['sources', 'fetch', '--progress', 'quiet', ...product.origins()], {
    PVGRUB_STORE: join(product.folder, 'other'),
  });
  expect(wrong).toMatchObject({ code: 3, stderr: expect.stringContaining('SOURCE_MISMATCH') });
  expect((await lock()).stderr).toContain('0 of 0 tarballs locked');
});

test('Mini-OS whose commit is not known comes from the tarball that is locked, and needs no --trust', async () => {
  await arrange();
  // The release's tarball with Mini-OS in it, signed by upstream's key.
  const tree = join(product.folder, 'tree');
  mkdirSync(tree);
  execFileSync('tar', ['-xzf', tarball(), '-C', tree]);
  mkdirSync(join(tree, 'xen-4.2.5/extras/mini-os'), { recursive: true });
  writeFileSync(join(tree, 'xen-4.2.5/extras/mini-os/main.c'), 'of the release');
  execFileSync('tar', ['-czf', tarball(), '-C', tree, 'xen-4.2.5']);
  writeFileSync(`${tarball()}.sig`, await key.sign(readFileSync(tarball()), { hash: 'sha256' }));
  const { miniOs } = product.standIn.data.catalog;
  const ranges = [{ from: '4.2.5', to: '4.2.5', commit: null, tag: 'xen-RELEASE-4.2.5' }];
  writeFileSync(join(product.folder, 'data/catalog/mini-os.json'), JSON.stringify({ ...miniOs, ranges }));
  const why = async () => (await product.call(['matrix', 'pv-grub-4.2.5-x86_64', '--why'])).stdout;
  const fetch = () => product.call(['sources', 'fetch', '--progress', 'quiet', ...product.origins()]);
  // Until then nothing proves it.
  expect(await fetch()).toMatchObject({ code: 3, stderr: expect.stringContaining('no pin is known for mini-os xen-RELEASE-4.2.5') });
  expect((await lock()).code).toBe(0);
  expect(await why()).toMatch(new RegExp(`source +mini-os xen-4\\.2\\.5 .* sha256 ${digest('sha256').slice(0, 12)}`));
  expect(await fetch()).toMatchObject({ code: 0, stderr: expect.stringContaining('6 of 6 sources are in the store') });
  // The same file is stored once, and carried over with both names.
  const archive = join(product.folder, 'sources.tar');
  expect((await product.call(['sources', 'export', archive, 'pv-grub-4.2.5-x86_64'])).code).toBe(0);
  const other = { PVGRUB_STORE: join(product.folder, 'other') };
  expect((await product.call(['sources', 'import', archive], other)).stdout).toContain('6 sources taken in');
  // What a build unpacks of it.
  const data = { ...product.standIn.data.catalog, miniOs: { ...miniOs, ranges } };
  const locked = lockedCatalog(
    { ...data, xen: { ...data.xen, key: key.fingerprint, releases: [{ version: '4.2.5', date: '2014-09-02' }] } },
    readLock(lockFile()),
  );
  const ref = miniOsSource(locked, '4.2.5') as SourceRef;
  const stored = (await new Store(join(product.folder, 'other')).find(ref, false)) as StoredSource;
  expect(stored.proof).toBe('sha256');
  const { path } = await canonicalFile(stored, ref);
  expect(execFileSync('tar', ['-xOf', path, 'mini-os/main.c'], { encoding: 'utf8' })).toBe('of the release');
});

test('a signature over SHA-1 is taken from the pinned key, and told', async () => {
  await arrange({ hash: 'sha1' });
  expect((await lock()).stderr).toMatch(/over sha1, which is weak: taken because the key is the pinned one/);
});

test('what is not signed as it should be, or differs from what was published, is not locked and not stored', async () => {
  const refused = async (code: string) => {
    expect(await lock()).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(new RegExp(`\\[${code}\\][\\s\\S]*0 of 1`)),
      stdout: '',
    });
    expect(existsSync(lockFile())).toBe(false);
    expect(existsSync(join(product.folder, 'store/sha256'))).toBe(false);
    expect(readdirSync(join(product.folder, 'store/incoming'))).toEqual([]);
  };
  await arrange({ release: { md5: '0'.repeat(32) } });
  await refused('SOURCE_MISMATCH');
  await arrange();
  writeFileSync(`${tarball()}.sig`, await key.sign(Buffer.from('another file')));
  await refused('SIGNATURE_INVALID');
  // An older release's tarball under the name of this one: its signature is as good.
  const older = join(product.folder, 'xen-4.2.0');
  mkdirSync(older);
  execFileSync('tar', ['-czf', tarball(), '-C', product.folder, 'xen-4.2.0']);
  await arrange();
  await refused('SOURCE_MISMATCH');
  writeFileSync(join(product.folder, 'key.asc'), (await makeKey()).armored);
  await refused('SIGNATURE_INVALID');
  await arrange();
  writeFileSync(join(product.folder, 'key.asc'), key.armored);
  writeFileSync(tarball(), 'no tarball');
  writeFileSync(`${tarball()}.sig`, await key.sign(Buffer.from('no tarball')));
  await refused('SOURCE_ARCHIVE_BROKEN');
});

test('a release with a published checksum is left alone, and a published MD5 that fits is no hindrance', async () => {
  await arrange({ release: { md5: digest('md5'), sha1: digest('sha1'), blake2b: digest('blake2b512') } });
  expect((await lock()).stderr).toContain('1 of 1 tarballs locked');
  await arrange({ release: { sha256: digest('sha256') } });
  expect((await lock()).stderr).toContain('0 of 0 tarballs locked');
});

test('a git repository has no signed tarball, and offline nothing is asked', async () => {
  await arrange();
  const git = await product.call(['sources', 'lock', '--key-file', 'key.asc', '--origin', `xen=git:${product.folder}`]);
  expect(git).toMatchObject({ code: 3, stderr: expect.stringMatching(/has no signed tarball[\s\S]*with a \.sig beside each/) });
  const offline = await product.call(['sources', 'lock', '--key-file', 'key.asc', '--offline']);
  expect(offline).toMatchObject({ code: 3, stderr: expect.stringContaining('SOURCE_OFFLINE') });
  const noKey = await product.call(['sources', 'lock', '--key-file', 'nowhere.asc']);
  expect(noKey).toMatchObject({ code: 2, stderr: expect.stringContaining(key.fingerprint) });
});

test.each([
  ['no JSON', '{', 'cannot be used'],
  ['another form', '{"schema":2,"xen":{}}', 'another form'],
  ['an entry of another form', '{"schema":1,"xen":{"4.2.5":{"sha256":"x"}}}', '4.2.5'],
])('a lock file with %s stops every command that plans', async (_what, text, message) => {
  await arrange();
  writeFileSync(lockFile(), text);
  expect(await product.call(['matrix'])).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
});

test('a lock file that contradicts the catalog, or was proved by another key, stops, too', async () => {
  await arrange();
  await lock();
  await arrange({ release: { sha256: 'a'.repeat(64) } });
  expect(await product.call(['matrix'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/LOCK_INVALID[\s\S]*expected: sha256 aaaa/),
  });
  await arrange();
  const entry = JSON.parse(readFileSync(lockFile(), 'utf8'));
  entry.xen['4.2.5'].signature.key = 'B'.repeat(40);
  writeFileSync(lockFile(), JSON.stringify(entry));
  expect(await product.call(['matrix'])).toMatchObject({ code: 2, stderr: expect.stringContaining('got:      key BBBB') });
});
