import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, hashFile, sha256, sha256File } from '../../src/util/hash.ts';
import { put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();

/** The same data with the members of every object in another order. */
function shuffled(value: unknown, turn: number): unknown {
  if (Array.isArray(value)) return value.map((member) => shuffled(member, turn));
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([key, member]) => [key, shuffled(member, turn)] as const);
  const at = entries.length === 0 ? 0 : turn % entries.length;
  return Object.fromEntries([...entries.slice(at), ...entries.slice(0, at)].reverse());
}

describe('canonicalJson', () => {
  test('gives the same text whatever the order of the keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(), (value, turn) => {
        expect(canonicalJson(shuffled(value, turn))).toBe(canonicalJson(value));
      }),
    );
  });

  test('loses nothing: parsed again it is the same data', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('keeps the order of lists, tells values of other types apart and has no white space', () => {
    expect(canonicalJson({ b: [2, 1], a: { d: null, c: '1' } })).toBe('{"a":{"c":"1","d":null},"b":[2,1]}');
    expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]));
    expect(canonicalJson({ a: 1 })).not.toBe(canonicalJson({ a: '1' }));
  });

  test('leaves out members that are undefined', () => {
    expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
  });
});

describe('checksums', () => {
  test.each([0, 1, 63, 64, 2 ** 20, 2 ** 20 + 1, 3_000_000])('of a file of %i bytes are what the real tools say', async (size) => {
    const bytes = randomBytes(size);
    const file = put(folder, `file-${size}`, bytes);
    const judge = (tool: string) => execFileSync(tool, [file], { encoding: 'utf8' }).split(' ')[0];
    expect(await sha256File(file)).toBe(judge('sha256sum'));
    expect(sha256(bytes)).toBe(judge('sha256sum'));
    expect(await hashFile(file)).toEqual({ sha256: judge('sha256sum'), sha512: judge('sha512sum'), size });
  });

  test('of text are those of its UTF-8 bytes', () => {
    expect(sha256('größe')).toBe(sha256(Buffer.from('größe', 'utf8')));
  });

  test('of a file that is not there are an error', async () => {
    await expect(sha256File(join(folder, 'missing'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(hashFile(join(folder, 'missing'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
