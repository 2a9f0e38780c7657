import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { PublicationIndex } from '../../src/publish/index-file.ts';
import { newKey, publicKeyLine } from '../../src/publish/key.ts';
import { recall } from '../../src/pull/seen.ts';
import { tempFolder } from '../support/temp-folder.ts';

const { public: key } = newKey();
const opened = (publication: string, serial: number, revoked: string[] = []) => ({
  index: {
    publication,
    serial,
    key: publicKeyLine(key),
    revoked: revoked.map((id) => ({ key: id, when: '', why: '' })),
  } as unknown as PublicationIndex,
  sha256: String(serial),
});

test('what was seen is remembered by publication and place', async () => {
  const folder = tempFolder();
  const memory = await recall(folder, key);
  expect(memory.of('ours')).toBeUndefined();
  await memory.keep('https://example.org/', opened('ours', 7, ['A']));
  const again = await recall(folder, key);
  expect(again.of('ours')).toEqual({ serial: 7, sha256: '7', key: publicKeyLine(key), revoked: ['A'] });
  again.demandSame('https://example.org/', 'ours');
  expect(() => again.demandSame('https://example.org/', 'other')).toThrow(expect.objectContaining({ code: 'PUBLICATION_DIFFERS' }));
  for (const name of ['__proto__', 'constructor', 'toString']) expect(again.of(name)).toBeUndefined();
  expect((await recall(folder, newKey().public)).of('ours')).toBeUndefined();
});

test('several who remember at once forget nothing: the newest serial, every revoked key, every publication', async () => {
  const folder = tempFolder();
  const memories = await Promise.all(Array.from({ length: 6 }, () => recall(folder, key)));
  const kept = [
    opened('ours', 9, ['A']),
    opened('ours', 5, ['B']),
    opened('other', 3),
    opened('ours', 8),
    opened('third', 1),
    opened('ours', 6, ['C']),
  ];
  await Promise.all(memories.map((memory, i) => memory.keep(`place ${i}`, kept[i] as (typeof kept)[0])));
  const memory = await recall(folder, key);
  expect(memory.of('ours')?.serial).toBe(9);
  expect(memory.of('ours')?.revoked.toSorted()).toEqual(['A', 'B', 'C']);
  expect([memory.of('other')?.serial, memory.of('third')?.serial]).toEqual([3, 1]);
});

test('a memory that cannot be read is an error, not forgotten', async () => {
  const folder = tempFolder();
  const memory = await recall(folder, key);
  await memory.keep('place', opened('ours', 1));
  const [file] = (await import('node:fs')).readdirSync(join(folder, 'publications'));
  writeFileSync(join(folder, 'publications', file as string), '{');
  await expect(recall(folder, key)).rejects.toMatchObject({ code: 'INDEX_INVALID' });
});
