import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { SourceRef } from '../../src/catalog/types.ts';
import { gitTarball } from '../../src/sources/origins/git.ts';
import { Store } from '../../src/sources/store.ts';
import { exportSources, importSources, proofOf, recordsFor } from '../../src/sources/transfer.ts';
import { makeRepo } from '../support/git-repo.ts';
import { digest, goodTar, makeRef, makeTar, put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();
const repo = makeRepo(join(folder, 'repo'));
const commit = repo.commit({ file: 'from git' });
const tar = await goodTar();
const refs: SourceRef[] = [
  makeRef({ pins: { sha256: digest('sha256', tar) } }),
  makeRef({ name: 'kernel', file: 'kernel-1.0.tar', pins: { commit } }),
  makeRef({ name: 'unpinned' }),
];
const known = (name: string, version: string) => refs.find((ref) => ref.name === name && ref.version === version);
let count = 0;

function newStore(): Store {
  return new Store(join(folder, `store-${count++}`));
}

async function filledStore(): Promise<Store> {
  const store = newStore();
  const incoming = await store.incoming();
  await store.add(put(incoming, 'a', tar), { ref: refs[0] as SourceRef, origin: 'https://files.example/thing.tar', trusted: false });
  const made = await gitTarball(repo.path, commit, 'thing-1.0', join(incoming, 'b'), join(folder, 'cache'));
  await store.add(join(incoming, 'b'), { ref: refs[1] as SourceRef, origin: 'git', commitObject: made.commitObject, trusted: false });
  await store.add(put(incoming, 'c', await goodTar('u', 'unpinned')), { ref: refs[2] as SourceRef, origin: 'here', trusted: true });
  return store;
}

const full = await filledStore();
const archive = join(folder, 'sources.tar');
await exportSources(await full.list(), full, archive);

/** Import bytes as an archive; gives the error or the result, and the store. */
async function take(bytes: Uint8Array, trust: string[] = []) {
  const store = newStore();
  const file = put(folder, `in-${count++}.tar`, bytes);
  const result = await importSources(file, store, known, trust).catch((error) => error);
  return { result, records: await store.list(), left: readdirSync(join(store.folder, 'incoming')) };
}

/** The archive as it would be with other records: each is changed by the test. */
async function withRecord(name: string, change: (record: Record<string, unknown>) => void): Promise<Buffer> {
  const [record] = (await full.list()).filter((one) => one.name === name);
  if (!record) throw new Error(`no ${name}`);
  const changed: Record<string, unknown> = { ...record };
  change(changed);
  return makeTar([
    { name: `records/${name}@1.0.${record.sha256}.json`, content: JSON.stringify(changed) },
    { name: `sha256/${changed['sha256']}`, content: readFileSync(full.path(record.sha256)) },
  ]);
}

/** An entry that says of itself that it is a folder of five bytes. */
async function folderWithSize(name: string): Promise<Buffer> {
  const bytes = await makeTar([{ name, content: 'hello' }]);
  bytes.write('5', 156);
  // One type more than that of a file by five, in the octal sum of the header.
  const sum = Number.parseInt(bytes.toString('latin1', 148, 154), 8) + 5;
  bytes.write(sum.toString(8).padStart(6, '0'), 148);
  return bytes;
}

describe('export and import', () => {
  test('give an empty store the same records and bytes, each proved by its own pin', async () => {
    const { result, records, left } = await take(readFileSync(archive), ['unpinned']);
    expect(records).toEqual(await full.list());
    expect(result.refused).toEqual([]);
    expect(result.added.map(({ record, proof }: { record: { name: string }; proof: string }) => [record.name, proof])).toEqual([
      ['kernel', 'commit'],
      ['thing', 'sha256'],
      ['unpinned', undefined],
    ]);
    expect(left).toEqual([]);
    expect(records.map((record) => proofOf(record, known(record.name, record.version)))).toEqual([
      'commit',
      'sha256',
      'nothing (unpinned)',
    ]);
  });

  test('write the same bytes each time, in a plain tar that the real tar reads', async () => {
    const again = join(folder, 'again.tar');
    await exportSources(await full.list(), full, again);
    expect(readFileSync(again).equals(readFileSync(archive))).toBe(true);
    const times = execFileSync('tar', ['--utc', '-tvf', again], { encoding: 'utf8' }).trim().split('\n');
    for (const line of times) expect(line).toContain(' 1970-01-01 00:00 ');
    const names = execFileSync('tar', ['-tf', again], { encoding: 'utf8' }).trim().split('\n');
    expect(names).toHaveLength(6);
    expect(names.every((name) => /^(records|sha256)\//.test(name))).toBe(true);
  });

  test('leave no file where a source has gone from the store or is shorter than it was', async () => {
    const store = await filledStore();
    const records = await store.list();
    const path = store.path(records[1]?.sha256 ?? '');
    for (const harm of [() => writeFileSync(path, 'short'), () => execFileSync('rm', [path])]) {
      harm();
      const file = join(folder, 'broken-export.tar');
      await expect(exportSources(records, store, file)).rejects.toThrow();
      expect(readdirSync(folder).filter((name) => name.includes('broken-export'))).toEqual([]);
    }
  });

  test('recordsFor gives the records in order, and names what is missing', async () => {
    const names = (await recordsFor(refs.toReversed(), full, ['unpinned'])).map(({ name }) => name);
    expect(names).toEqual(['kernel', 'thing', 'unpinned']);
    await expect(recordsFor(refs, full, [])).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: 'unpinned 1.0 is not in the store',
    });
  });
});

describe('import does not believe an archive', () => {
  test('what nothing proves is refused by name, and the rest is taken', async () => {
    const { result, records } = await take(readFileSync(archive));
    expect(records.map(({ name }) => name)).toEqual(['kernel', 'thing']);
    expect(result.refused).toMatchObject([{ name: 'unpinned', version: '1.0', reason: { code: 'SOURCE_UNPINNED' } }]);
  });

  test('a source that the catalog does not know is refused', async () => {
    const { result, records } = await take(await withRecord('thing', (record) => Object.assign(record, { name: 'stranger' })));
    expect(result.refused).toMatchObject([{ name: 'stranger', reason: { code: 'SOURCE_UNPINNED' } }]);
    expect(records).toEqual([]);
  });

  test('other bytes under the checksum that is pinned are refused', async () => {
    const evil = await goodTar('thing-1.0', 'other');
    const [record] = (await full.list()).filter(({ name }) => name === 'thing');
    const { result, records, left } = await take(
      await makeTar([
        { name: `records/thing@1.0.${record?.sha256}.json`, content: JSON.stringify(record) },
        { name: `sha256/${record?.sha256}`, content: evil },
      ]),
    );
    expect(result.refused).toMatchObject([{ reason: { code: 'SOURCE_MISMATCH', got: `sha256 ${digest('sha256', evil)}` } }]);
    expect([records, left]).toEqual([[], []]);
  });

  test('a record that claims another source’s pinned name is refused', async () => {
    const { result, records } = await take(await withRecord('unpinned', (record) => Object.assign(record, { name: 'thing' })));
    expect(result.refused).toMatchObject([{ name: 'thing', reason: { code: 'SOURCE_MISMATCH' } }]);
    expect(records).toEqual([]);
  });

  test('a record with the right commit for other bytes is refused', async () => {
    const commitObject = execFileSync('git', ['-C', repo.path, 'cat-file', 'commit', commit]).toString('base64');
    const { result, records } = await take(
      await withRecord('unpinned', (record) => Object.assign(record, { name: 'kernel', commitObject })),
    );
    expect(result.refused).toMatchObject([{ name: 'kernel', reason: { code: 'SOURCE_MISMATCH' } }]);
    expect(records).toEqual([]);
  });

  test('a record with another commit than the pinned one is refused', async () => {
    const commitObject = Buffer.from(`tree ${'a'.repeat(40)}\n\nx`).toString('base64');
    const { result } = await take(await withRecord('kernel', (record) => Object.assign(record, { commitObject })));
    expect(result.refused).toMatchObject([{ name: 'kernel', reason: { code: 'SOURCE_MISMATCH' } }]);
  });

  test('an unsafe tarball inside is refused, however much it is trusted', async () => {
    const evil = await makeTar([{ name: 't/../../evil', content: 'x' }]);
    const record = { ...(await full.list())[0], name: 'unpinned', commitObject: undefined, sha256: digest('sha256', evil) };
    const bytes = await makeTar([
      { name: 'records/unpinned@1.0.json', content: JSON.stringify(record) },
      { name: `sha256/${record.sha256}`, content: evil },
    ]);
    const { result, records } = await take(bytes, ['unpinned']);
    expect(result.refused).toMatchObject([{ reason: { code: 'SOURCE_ARCHIVE_UNSAFE' } }]);
    expect(records).toEqual([]);
  });
});

describe('import refuses', () => {
  const whole = readFileSync(archive);

  test('an archive that is cut anywhere, and leaves no part of the source it was cut in', async () => {
    const one = join(folder, 'one.tar');
    await exportSources((await full.list()).slice(1, 2), full, one);
    const bytes = readFileSync(one);
    for (const at of [100, 512, 1024, 1536, 2048, 3000, 2560, 3072, bytes.length - 1024, bytes.length - 512]) {
      const { result, left } = await take(bytes.subarray(0, at));
      expect([at, result]).toMatchObject([at, { code: 'SOURCE_ARCHIVE_BROKEN', exit: 3 }]);
      expect([at, left]).toEqual([at, []]);
    }
  });

  test('an archive that is cut just between two sources', async () => {
    const { size = 0 } = (await full.list())[0] ?? {};
    const first = 512 * (2 + Math.ceil((whole.indexOf(0, 512) - 512) / 512) + Math.ceil(size / 512));
    expect(whole.subarray(first, first + 8).toString()).toBe('records/');
    expect((await take(whole.subarray(0, first))).result).toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN' });
  });

  test.each<[string, () => Promise<Uint8Array> | Uint8Array, string]>([
    ['an empty file', () => Buffer.alloc(0), 'SOURCE_ARCHIVE_BROKEN'],
    ['garbage', () => Buffer.alloc(5000, 'garbage'), 'SOURCE_ARCHIVE_BROKEN'],
    ['an empty tar', () => makeTar([]), 'SOURCE_ARCHIVE_BROKEN'],
    ['an entry that does not belong', () => makeTar([{ name: 'README', content: 'x' }]), 'SOURCE_ARCHIVE_BROKEN'],
    ['bytes without a record', () => makeTar([{ name: `sha256/${'a'.repeat(64)}`, content: 'x' }]), 'SOURCE_ARCHIVE_BROKEN'],
    ['a record without bytes', () => makeTar([{ name: 'records/a.json', content: JSON.stringify(knownRecord) }]), 'SOURCE_ARCHIVE_BROKEN'],
    ['a record that is a path', () => withRecord('thing', (record) => Object.assign(record, { name: '../x' })), 'STORE_CORRUPT'],
    ['a record that is no JSON', () => makeTar([{ name: 'records/a.json', content: '{' }]), 'STORE_CORRUPT'],
    ['a record that is a link', () => makeTar([{ name: 'records/a.json', type: 'symlink', linkname: 'x' }]), 'SOURCE_ARCHIVE_BROKEN'],
    ['a folder with a size, whose content never ends', () => folderWithSize('records/a.json'), 'SOURCE_ARCHIVE_BROKEN'],
    ['an entry outside', () => makeTar([{ name: 'records/../../x.json', content: '{}' }]), 'SOURCE_ARCHIVE_BROKEN'],
  ])('%s', async (_what, bytes, code) => {
    const { result, records, left } = await take(await bytes());
    expect(result).toMatchObject({ code, exit: 3 });
    expect([records, left]).toEqual([[], []]);
  });

  test('other bytes than those of the record before them', async () => {
    const swapped = Buffer.from(whole);
    const at = swapped.indexOf('sha256/');
    swapped.write('sha256/0', at);
    expect((await take(swapped)).result).toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN' });
  });

  test('an archive that is not there', async () => {
    const store = newStore();
    await expect(importSources(join(folder, 'nowhere.tar'), store, known, [])).rejects.toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN' });
    expect(existsSync(join(store.folder, 'records'))).toBe(false);
  });
});

const knownRecord = (await full.list())[1];

describe('what images are made of', () => {
  const images = [{ id: 'pv-grub-4.17.5-x86_64', text: '{"some":"statement"}\n' }];

  test('goes along, and comes out again', async () => {
    const file = join(folder, 'images.tar');
    await exportSources((await full.list()).slice(0, 1), full, file, { images });
    const { images: taken, added } = await importSources(file, newStore(), known, ['kernel', 'thing', 'unpinned']);
    expect(taken).toEqual(images);
    expect(added).toHaveLength(1);
  });

  test('is refused under a name that leads elsewhere', async () => {
    const file = put(folder, 'images-wrong.tar', await makeTar([{ name: 'images/../../x.json', content: '{}' }]));
    await expect(importSources(file, newStore(), known, [])).rejects.toMatchObject({ code: 'SOURCE_ARCHIVE_BROKEN' });
  });

  test('an export that is stopped, before or while it writes, leaves nothing', async () => {
    for (const after of [0, 1]) {
      const stop = new AbortController();
      const file = join(folder, `stopped-${after}`, 'out.tar');
      mkdirSync(join(folder, `stopped-${after}`));
      if (after === 0) stop.abort(new Error('stopped'));
      else setImmediate(() => stop.abort(new Error('stopped')));
      await expect(exportSources(await full.list(), full, file, { images, signal: stop.signal })).rejects.toThrow(/stopped|abort/i);
      expect(readdirSync(join(folder, `stopped-${after}`))).toEqual([]);
    }
  });

  test('a place that is not there is told as such', async () => {
    await expect(exportSources(await full.list(), full, join(folder, 'no/where.tar'))).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });
});
