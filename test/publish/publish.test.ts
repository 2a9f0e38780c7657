import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { signStatement } from '../../src/publish/dsse.ts';
import { newKey } from '../../src/publish/key.ts';
import { placeAt } from '../../src/pull/place.ts';
import { verifyPublication } from '../../src/pull/verify.ts';
import { sha256 } from '../../src/util/hash.ts';
import { lastingFolder } from '../support/lasting-folder.ts';
import { indexOf, makeArtifacts, publishTo } from '../support/published.ts';
import { mountSmall } from '../support/small-disk.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const key = newKey();
const WIDE = 'pv-grub-4.17.5-x86_64';
const NARROW = 'pv-grub-4.17.5-x86_32';
const artifacts = lastingFolder();

beforeAll(async () => {
  await makeArtifacts(artifacts, WIDE, key);
  await makeArtifacts(artifacts, NARROW, key, { size: 150_000 });
  await makeArtifacts(artifacts, 'pvgrub2-2.12-x86_64', key, { size: 100_000 });
});

const verify = async (folder: string, by = key.public) => verifyPublication(await placeAt(folder), { key: by, now: new Date() });
const tree = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => `${path} ${statSync(path).mtimeMs} ${sha256(readFileSync(path))}`);

describe('publishing', () => {
  test('writes images, signatures, sums, attestations, logs, page and index, and all of it verifies', async () => {
    const folder = tempFolder();
    const { added, untouched } = await publishTo(folder, artifacts, key, {
      wishes: { publication: 'ours', url: 'https://example.org/pv' },
    });
    expect({ added, untouched }).toEqual({ added: [WIDE, NARROW, 'pvgrub2-2.12-x86_64'].sort(), untouched: false });
    const { index, strays } = await verify(folder);
    expect(strays).toBe(true);
    expect(index).toMatchObject({ publication: 'ours', url: 'https://example.org/pv' });
    const image = index.images.find(({ id }) => id === WIDE);
    expect(image?.files.map(({ name }) => name)).toEqual([
      'build.log',
      'metadata.json',
      ...['buildinfo', 'cdx.json', 'intoto.jsonl', 'minisig'].map((end) => `pv-grub-x86_64.gz.${end}`),
    ]);
    expect(readFileSync(join(folder, image?.path ?? '', 'pv-grub-x86_64.gz'))).toEqual(
      readFileSync(join(artifacts, 'pv-grub/4.17.5/x86_64/pv-grub-x86_64.gz')),
    );
    expect(execFileSync('sha256sum', ['-c', '--strict', 'SHA256SUMS'], { cwd: folder, encoding: 'utf8' })).toMatch(/^(.*: OK\n){3}$/);
    expect(readFileSync(join(folder, 'index.html'), 'utf8')).toContain(image?.image.sha256);
  });

  test('the same again changes not one byte, and not one time', async () => {
    const folder = tempFolder();
    await publishTo(folder, artifacts, key);
    const before = tree(folder);
    expect(await publishTo(folder, artifacts, key)).toMatchObject({ untouched: true, added: [], replaced: [] });
    expect(tree(folder)).toEqual(before);
  });

  test('renews the index in its last third, or when asked', async () => {
    const folder = tempFolder();
    const { index } = await publishTo(folder, artifacts, key, { wishes: { days: 30 } });
    const later = (days: number) => new Date(Date.now() + days * 24 * 3600_000);
    expect((await publishTo(folder, artifacts, key, { wishes: { days: 30 }, now: later(15) })).untouched).toBe(true);
    const renewed = await publishTo(folder, artifacts, key, { wishes: { days: 30 }, now: later(21) });
    expect(renewed).toMatchObject({ untouched: false, added: [], replaced: [] });
    expect(renewed.index.serial).toBeGreaterThan(index.serial);
    expect(Date.parse(renewed.index.expires)).toBeGreaterThan(later(50).getTime());
    expect((await publishTo(folder, artifacts, key, { wishes: { days: 30, renew: true }, now: later(21) })).index.serial).toBe(
      renewed.index.serial + 1,
    );
  });

  test('adds to what is there; a new image of a cell takes the place of the old one, which can still be had until it is pruned', async () => {
    const folder = tempFolder();
    await publishTo(folder, artifacts, key, { ids: [WIDE] });
    const old = indexOf(folder).images[0];
    const newer = tempFolder();
    await makeArtifacts(newer, WIDE, key, { unpinned: true, size: 90_000 });
    const done = await publishTo(folder, newer, key, { allowUnproven: true });
    expect(done).toMatchObject({ added: [], replaced: [WIDE] });
    expect(done.index.superseded.map(({ path }) => path)).toEqual([old?.path]);
    expect(existsSync(join(folder, old?.path ?? '', 'pv-grub-x86_64.gz'))).toBe(true);
    expect(await publishTo(folder, artifacts, key, { ids: [NARROW] })).toMatchObject({ added: [NARROW] });
    expect((await verify(folder)).index.images.map(({ id }) => id)).toEqual([NARROW, WIDE]);
    const pruned = await publishTo(folder, artifacts, key, { ids: [NARROW], wishes: { prune: true } });
    expect(pruned.index.superseded).toEqual([]);
    expect(existsSync(join(folder, old?.path ?? ''))).toBe(false);
    await verify(folder);
  });

  test('withdraws what it is asked to', async () => {
    const folder = tempFolder();
    await publishTo(folder, artifacts, key);
    const done = await publishTo(folder, artifacts, key, { ids: [], wishes: { withdraw: [NARROW] } });
    expect(done.withdrawn).toEqual([NARROW]);
    expect((await verify(folder)).index.images.map(({ id }) => id)).not.toContain(NARROW);
    await expect(publishTo(folder, artifacts, key, { ids: [], wishes: { withdraw: ['pv-grub-9.9.9-x86_64'] } })).rejects.toMatchObject({
      code: 'SELECTOR_NO_MATCH',
    });
    // The last one, too.
    await publishTo(folder, artifacts, key, { ids: [], wishes: { withdraw: [WIDE, 'pvgrub2-2.12-x86_64'] } });
    expect((await verify(folder)).index.images).toEqual([]);
    await expect(publishTo(tempFolder(), artifacts, key, { ids: [] })).rejects.toMatchObject({ code: 'SELECTOR_NO_MATCH' });
  });

  test('refuses two images that are said to come of the same inputs, and names both', async () => {
    const folder = tempFolder();
    await publishTo(folder, artifacts, key, { ids: [WIDE] });
    const other = tempFolder();
    const { image } = await makeArtifacts(other, WIDE, key, { size: 90_000 });
    const before = tree(folder);
    await expect(publishTo(folder, other, key)).rejects.toMatchObject({
      code: 'OUTPUT_DIFFERS',
      expected: expect.stringContaining(indexOf(folder).images[0]?.image.sha256 as string),
      got: expect.stringContaining(image.sha256),
    });
    expect(tree(folder)).toEqual(before);
  });
});

describe('an image that is not proven', () => {
  test.each([
    ['unpinned', { unpinned: true }, 'built with sources that nothing proves: grub'],
    ['never booted', { boot: false }, 'never booted'],
    ['never built again', { reproduced: false }, 'never built again'],
  ])('%s: is refused, or marked where it is asked for', async (_what, looks, words) => {
    const [from, folder] = [tempFolder(), tempFolder()];
    await makeArtifacts(from, WIDE, key, looks);
    await expect(publishTo(folder, from, key)).rejects.toMatchObject({ code: 'UNPROVEN', got: `${WIDE}: ${words}` });
    expect(readdirSync(folder)).toEqual([]);
    await publishTo(folder, from, key, { allowUnproven: true });
    expect(indexOf(folder).images[0]?.unproven).toEqual([words]);
    expect(readFileSync(join(folder, 'index.html'), 'utf8')).toContain(`unproven: ${words}`);
    await verify(folder);
  });

  test('attested before it was booted, by another key, or not at all: is refused', async () => {
    const from = tempFolder();
    const { loader, version, arch } = await makeArtifacts(from, WIDE, key, { boot: false });
    const at = join(from, loader, version, arch);
    const file = join(at, 'metadata.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), boot: { ok: true, hypervisor: 'Xen', cases: [] } }));
    const folder = tempFolder();
    await expect(publishTo(folder, from, key)).rejects.toMatchObject({ code: 'NOT_ATTESTED', message: expect.stringContaining('booted') });
    await expect(publishTo(folder, artifacts, newKey())).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    rmSync(join(at, 'pv-grub-x86_64.gz.cdx.json'));
    await expect(publishTo(folder, from, key)).rejects.toMatchObject({ code: 'NOT_ATTESTED' });
    writeFileSync(join(at, 'pv-grub-x86_64.gz'), 'damaged');
    await expect(publishTo(folder, from, key)).rejects.toMatchObject({ code: 'OUTPUT_DAMAGED' });
  });
});

describe('faults', () => {
  test('a publication by another key is not touched', async () => {
    const folder = tempFolder();
    await publishTo(folder, artifacts, key, { ids: [WIDE] });
    const other = newKey();
    const theirs = tempFolder();
    await makeArtifacts(theirs, NARROW, other);
    const before = tree(folder);
    await expect(publishTo(folder, theirs, other)).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
      expected: `signed by ${other.public.id}`,
    });
    expect(tree(folder)).toEqual(before);
  });

  test('a disk that is full loses nothing that is published', async ({ skip }) => {
    const folder = tempFolder();
    const unmount = mountSmall(folder, '700k');
    if (!unmount) return skip('mounting a small file system is not allowed here');
    try {
      await publishTo(folder, artifacts, key, { ids: [WIDE] });
      const before = readFileSync(join(folder, 'index.json'));
      const more = tempFolder();
      for (const id of [NARROW, 'pv-grub-4.16.0-x86_64', 'pv-grub-4.16.0-x86_32']) await makeArtifacts(more, id, key, { size: 300_000 });
      await expect(publishTo(folder, more, key)).rejects.toMatchObject({ code: 'OUTPUT_DISK_FULL' });
      expect(readFileSync(join(folder, 'index.json'))).toEqual(before);
      expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
    } finally {
      unmount();
    }
  });

  test('what damage there is, publishing again mends', async () => {
    const folder = tempFolder();
    await publishTo(folder, artifacts, key);
    const { path } = indexOf(folder).images.find(({ id }) => id === WIDE) ?? { path: '' };
    writeFileSync(join(folder, path, 'pv-grub-x86_64.gz'), 'damaged');
    rmSync(join(folder, 'SHA256SUMS'));
    mkdirSync(join(folder, '.publish-abc'));
    writeFileSync(join(folder, '.index.json.0123456789ab.part'), 'half');
    const got = (await thrownBy(() => verify(folder))) as { got: string };
    for (const words of [`${path}/pv-grub-x86_64.gz: sha256`, 'SHA256SUMS: missing', '.index.json.0123456789ab.part: named by nothing'])
      expect(got.got).toContain(words);
    expect((await publishTo(folder, artifacts, key)).untouched).toBe(false);
    await verify(folder);
  });

  test('what no reader would take is not written', async () => {
    const folder = tempFolder();
    await expect(publishTo(folder, artifacts, key, { wishes: { publication: 'x'.repeat(201) } })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    await publishTo(folder, artifacts, key, { ids: [WIDE] });
    const before = tree(folder);
    const revoke = [{ key: newKey().public.id, why: 'y'.repeat(10_001) }];
    await expect(publishTo(folder, artifacts, key, { wishes: { revoke } })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    expect(tree(folder).filter((line) => !line.includes('/pv'))).toEqual(before.filter((line) => !line.includes('/pv')));
  });

  test('a folder that has other things is not written to', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'index.html'), 'somebody’s own');
    await expect(publishTo(folder, artifacts, key)).rejects.toMatchObject({
      code: 'FILE_THERE',
      hint: expect.stringContaining('of its own'),
    });
    expect(readdirSync(folder)).toEqual(['index.html']);
    await expect(publishTo(join(folder, 'index.html'), artifacts, key)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  test('an image whose folder was placed by a run that was killed, and is named by nothing, goes away', async () => {
    const folder = tempFolder();
    await publishTo(folder, artifacts, key, { ids: [WIDE] });
    cpSync(join(folder, indexOf(folder).images[0]?.path ?? ''), join(folder, 'pv-grub/4.17.5/x86_64/0123456789abcdef'), {
      recursive: true,
    });
    await expect(verify(folder)).rejects.toMatchObject({ code: 'PUBLICATION_BROKEN' });
    await publishTo(folder, artifacts, key, { ids: [WIDE] });
    await verify(folder);
  });

  test('summaries of who built an image again are published, those of another image are not', async () => {
    const [from, folder] = [tempFolder(), tempFolder()];
    const { loader, version, arch, image } = await makeArtifacts(from, WIDE, key);
    const summary = (sha256: string) =>
      signStatement(
        {
          _type: 'https://in-toto.io/Statement/v1',
          subject: [{ name: image.file, digest: { sha256 } }],
          predicateType: 'https://slsa.dev/verification_summary/v1',
          predicate: {},
        },
        newKey(),
      );
    const at = join(from, 'rebuilt', loader, version, arch);
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, `${image.file}.rebuilt-A.intoto.jsonl`), summary(image.sha256));
    writeFileSync(join(at, `${image.file}.rebuilt-B.intoto.jsonl`), summary(sha256('an older one')));
    writeFileSync(join(at, `${image.file}.rebuilt-C.intoto.jsonl`), 'nothing of the kind');
    await publishTo(folder, from, key);
    const names = indexOf(folder).images[0]?.files.map(({ name }) => name) ?? [];
    expect(names.filter((name) => name.includes('.rebuilt-'))).toEqual([`${image.file}.rebuilt-A.intoto.jsonl`]);
    await verify(folder);
  });

  test('two at once: the second one is refused', async () => {
    const folder = tempFolder();
    const both = await Promise.allSettled([publishTo(folder, artifacts, key), publishTo(folder, artifacts, key)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(both.find((one) => one.status === 'rejected')).toMatchObject({ reason: { code: 'FILE_THERE' } });
    await verify(folder);
  });
});

test('what was copied by hand to another place is the same publication there', async () => {
  const [folder, copy] = [tempFolder(), tempFolder()];
  await publishTo(folder, artifacts, key);
  cpSync(folder, copy, { recursive: true });
  expect((await verify(copy)).sha256).toBe((await verify(folder)).sha256);
});
