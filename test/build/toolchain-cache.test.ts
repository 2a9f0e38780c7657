import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { ToolchainCache } from '../../src/build/toolchain-cache.ts';
import type { Reads } from '../../src/plan/toolchain-key.ts';
import { tempFolder } from '../support/temp-folder.ts';

const KEY = 'k'.repeat(64);
const listing = new Map([['include/lock.h', '1']]);
const from = { commands: '', folder: 'stubdom' };
const reads: Reads = { files: { 'include/lock.h': '1' }, names: { 'lock.h': ['include/lock.h'] } };
let folder: string;
let cache: ToolchainCache;
let archive: string;

beforeEach(() => {
  folder = tempFolder();
  cache = new ToolchainCache(join(folder, 'toolchain'));
  archive = join(folder, 'archive');
  writeFileSync(archive, 'objects');
});
const entries = () => readdirSync(join(folder, 'toolchain', KEY)).sort();

test('gives back what was put in, to whom it fits and to nobody else', async () => {
  expect(await cache.find(KEY, listing, from)).toBeUndefined();
  const { id } = await cache.add(KEY, 'pv-grub-4.4.4-x86_64', reads, archive);
  const hit = await cache.find(KEY, listing, from);
  expect(hit?.entry).toMatchObject({ id, cell: 'pv-grub-4.4.4-x86_64' });
  expect(readFileSync(hit?.path ?? '', 'utf8')).toBe('objects');
  expect(await cache.find(KEY, new Map([['include/lock.h', '2']]), from)).toBeUndefined();
  expect(await cache.find('x'.repeat(64), listing, from)).toBeUndefined();
});

test('an archive that is not the one it was is thrown away', async () => {
  const { id } = await cache.add(KEY, 'a', reads, archive);
  writeFileSync(join(folder, 'toolchain', KEY, `${id}.tar.gz`), 'object');
  expect(await cache.find(KEY, listing, from)).toBeUndefined();
  expect(entries()).toEqual([]);
});

test.each([
  ['{'],
  ['null'],
  ['{"schema":1,"id":"../../x","archive":{"sha256":"","size":0},"reads":{"files":{},"names":{}}}'],
  ['{"schema":2}'],
])('an entry %s counts as not there', async (text) => {
  await cache.add(KEY, 'a', reads, archive);
  for (const name of entries().filter((name) => name.endsWith('.json'))) writeFileSync(join(folder, 'toolchain', KEY, name), text);
  expect(await cache.find(KEY, listing, from)).toBeUndefined();
});

test('what a killed run was writing goes away after an hour, what another one writes stays', async () => {
  const { id } = await cache.add(KEY, 'a', reads, archive);
  const [old, young] = ['.old.part', '.young.part'].map((name) => join(folder, 'toolchain', KEY, name)) as [string, string];
  for (const path of [old, young]) writeFileSync(path, 'half');
  utimesSync(old, new Date(Date.now() - 2 * 3_600_000), new Date(Date.now() - 2 * 3_600_000));
  await cache.add(KEY, 'a', reads, archive);
  expect(entries()).toEqual(['.young.part', `${id}.json`, `${id}.tar.gz`]);
});

test('an archive that cannot be read leaves nothing behind', async () => {
  await expect(cache.add(KEY, 'a', reads, join(folder, 'missing'))).rejects.toThrow('ENOENT');
  expect(entries()).toEqual([]);
});
