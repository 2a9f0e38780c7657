import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRecord, type SourceRecord, Store } from '../../src/sources/store.ts';
import { makeRepo } from '../support/git-repo.ts';
import { digest, goodTar, makeRef, put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();
const tar = await goodTar();
const evil = await goodTar('thing-1.0', 'not what was pinned\n');
let count = 0;

async function storeWith(bytes = tar, pins: object = { sha256: digest('sha256', bytes) }) {
  const store = new Store(join(folder, `store-${count++}`));
  const ref = makeRef({ pins });
  const file = put(await store.incoming(), 'file', bytes);
  return { store, ref, added: await store.add(file, { ref, origin: 'here', trusted: Object.keys(pins).length === 0 }) };
}

/** A record and bytes put into the store by hand, as someone with access to its folder could. */
function plant(store: Store, bytes: Uint8Array, record: Partial<SourceRecord>): SourceRecord {
  const whole: SourceRecord = {
    ...{ schema: 1, name: 'thing', version: '1.0', file: 'thing-1.0.tar', format: 'tar', top: 'thing-1.0', origin: 'here' },
    ...{ sha256: digest('sha256', bytes), sha512: digest('sha512', bytes), size: bytes.length },
    ...record,
  };
  const path = store.path(whole.sha256);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  const records = join(store.folder, 'records', `${whole.name}@${whole.version}`);
  mkdirSync(records, { recursive: true });
  writeFileSync(join(records, `${whole.sha256}.json`), JSON.stringify(whole));
  return whole;
}

describe('check', () => {
  test('finds bytes that changed on disk, and takes them out of the store', async () => {
    const { store, ref, added } = await storeWith();
    const bytes = readFileSync(added.path);
    bytes[600] = (bytes[600] ?? 0) ^ 1;
    writeFileSync(added.path, bytes);
    await expect(store.check(added)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      expected: `sha256 ${added.record.sha256}`,
      got: `sha256 ${digest('sha256', bytes)}`,
    });
    expect(existsSync(added.path)).toBe(false);
    expect(await store.find(ref, true)).toBeUndefined();
    expect(await store.list()).toEqual([]);
  });

  test('finds a record that lies about the SHA-512 which is pinned', async () => {
    const store = new Store(join(folder, 'lying-sha512'));
    plant(store, evil, { sha512: digest('sha512', tar) });
    const found = await store.find(makeRef({ pins: { sha512: digest('sha512', tar) } }), false);
    expect(found?.proof).toBe('sha512');
    await expect(store.check(found as NonNullable<typeof found>)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(existsSync(store.path(digest('sha256', evil)))).toBe(false);
  });

  test('finds a record that lies about the commit which is pinned', async () => {
    const repo = makeRepo(join(folder, 'repo'));
    const commit = repo.commit({ README: 'the real one' });
    const store = new Store(join(folder, 'lying-commit'));
    const commitObject = execFileSync('git', ['-C', repo.path, 'cat-file', 'commit', commit]).toString('base64');
    plant(store, evil, { commitObject });
    const found = await store.find(makeRef({ pins: { commit } }), false);
    expect(found?.proof).toBe('commit');
    await expect(store.check(found as NonNullable<typeof found>)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(await store.find(makeRef({ pins: { commit } }), false)).toBeUndefined();
  });
});

test('a record that the store writes itself can be read again, whatever the origin is', async () => {
  const store = new Store(join(folder, 'odd-origin'));
  const file = put(await store.incoming(), 'file', tar);
  await store.add(file, { ref: makeRef(), origin: `\u001b[2J${'😀'.repeat(600)}`, trusted: true });
  expect((await store.list()).map(({ origin }) => origin)).toEqual([`?[2J${'😀'.repeat(496)}`]);
});

describe('find and list', () => {
  test('leave out a record whose bytes are gone', async () => {
    const { store, ref, added } = await storeWith();
    rmSync(added.path);
    expect(await store.find(ref, false)).toBeUndefined();
    expect(await store.list()).toEqual([]);
  });

  test('give nothing for an empty store and for one that is not there', async () => {
    const store = new Store(join(folder, 'nowhere'));
    expect(await store.find(makeRef(), true)).toBeUndefined();
    expect(await store.list()).toEqual([]);
  });

  test('prefer what a pin proves to what is only trusted', async () => {
    const { store } = await storeWith(evil, {});
    plant(store, tar, {});
    for (const bytes of [tar, evil]) {
      const found = await store.find(makeRef({ pins: { sha256: digest('sha256', bytes) } }), true);
      expect(found?.record.sha256).toBe(digest('sha256', bytes));
    }
  });

  test('do not give what was trusted once as proved when a pin is known later that does not match', async () => {
    const { store } = await storeWith(evil, {});
    expect(await store.find(makeRef({ pins: { sha256: digest('sha256', tar) } }), false)).toBeUndefined();
  });

  test('list gives all records in order of name and version', async () => {
    const { store } = await storeWith();
    plant(store, evil, { name: 'alpha', version: '2' });
    plant(store, evil, { name: 'zeta', version: '1' });
    expect((await store.list()).map(({ name }) => name)).toEqual(['alpha', 'thing', 'zeta']);
  });
});

describe('parseRecord', () => {
  const good: SourceRecord = {
    ...{ schema: 1, name: 'thing', version: '1.0', file: 'thing-1.0.tar.gz', format: 'gzip', top: 'thing-1.0', origin: 'here' },
    ...{ sha256: 'a'.repeat(64), sha512: 'b'.repeat(128), size: 10 },
  };

  test('takes a good record', () => {
    expect(parseRecord(JSON.stringify(good), 'x')).toEqual(good);
    for (const origin of ['', 'größe 😀', 'x'.repeat(500)])
      expect(parseRecord(JSON.stringify({ ...good, origin }), 'x').origin).toBe(origin);
    expect(parseRecord(JSON.stringify({ ...good, commitObject: 'dHJlZQ==' }), 'x').commitObject).toBe('dHJlZQ==');
  });

  test.each<[string, unknown]>([
    ['no JSON', '{'],
    ['null', null],
    ['a list', []],
    ['a text', 'record'],
    ['another schema', { ...good, schema: 2 }],
    ['a name that is a path', { ...good, name: '../../etc/cron.d/x' }],
    ['a version that is a path', { ...good, version: '1/../../x' }],
    ['a version of dots', { ...good, version: '..' }],
    ['a file that is a path', { ...good, file: '/etc/passwd' }],
    ['a hidden file', { ...good, file: '.bashrc' }],
    ['a file that is an option', { ...good, file: '-rf' }],
    ['a short checksum', { ...good, sha256: 'a'.repeat(63) }],
    ['a checksum that is a path', { ...good, sha256: `../${'a'.repeat(61)}` }],
    ['a checksum in a list', { ...good, sha256: ['a'.repeat(64)] }],
    ['a SHA-512 in a list', { ...good, sha512: ['b'.repeat(128)] }],
    ['upper-case digits', { ...good, sha256: 'A'.repeat(64) }],
    ['a size that is none', { ...good, size: '10' }],
    ['a negative size', { ...good, size: -1 }],
    ['an unknown format', { ...good, format: 'zip' }],
    ['no format', { ...good, format: undefined }],
    ['a top that is a path', { ...good, top: '../x' }],
    ['no top', { ...good, top: undefined }],
    ['an origin that is no text', { ...good, origin: { a: 1 } }],
    ['an origin that clears the screen', { ...good, origin: '\u001b[2Jhere' }],
    ['an origin of two lines', { ...good, origin: 'here\nand there' }],
    ['an origin that is read backwards', { ...good, origin: 'here\u202e' }],
    ['an endless origin', { ...good, origin: 'x'.repeat(501) }],
    ['a commit object that is no text', { ...good, commitObject: 5 }],
  ])('refuses %s', (_what, value) => {
    const text = value === '{' ? '{' : JSON.stringify(value);
    expect(() => parseRecord(text, 'a/place.json')).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT', exit: 3 }));
  });

  test('gives a record or its own error for anything at all', () => {
    const value = fc.oneof(fc.jsonValue(), fc.record({ schema: fc.constant(1), name: fc.jsonValue(), sha256: fc.jsonValue() }));
    const member = fc.constantFrom(...Object.keys(good));
    fc.assert(
      fc.property(value, member, (any, key) => {
        for (const candidate of [any, { ...good, [key]: any }]) {
          try {
            const record = parseRecord(JSON.stringify(candidate), 'x');
            expect(record.name).toMatch(/^[\w.+-]+$/);
            expect(typeof record.sha256).toBe('string');
          } catch (error) {
            expect(error).toMatchObject({ code: 'STORE_CORRUPT' });
          }
        }
      }),
    );
  });
});
