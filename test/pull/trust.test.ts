import { beforeAll, describe, expect, test } from 'vitest';
import { indexComment, indexText, type PublicationIndex } from '../../src/publish/index-file.ts';
import { newKey, publicKeyLine, type SigningKey } from '../../src/publish/key.ts';
import { minisignSignature } from '../../src/publish/minisign.ts';
import { succeed } from '../../src/publish/succession.ts';
import { type Demands, openIndex, type Seen } from '../../src/pull/trust.ts';
import { sha256 } from '../../src/util/hash.ts';
import { lastingFolder } from '../support/lasting-folder.ts';
import { indexOf, makeArtifacts, publishTo } from '../support/published.ts';

const [first, second, third, thief] = [newKey(), newKey(), newKey(), newKey()];
const [artifacts, folder] = [lastingFolder(), lastingFolder()];
let index: PublicationIndex;
beforeAll(async () => {
  await makeArtifacts(artifacts, 'pv-grub-4.17.5-x86_64', first);
  await publishTo(folder, artifacts, first);
  index = indexOf(folder);
});

const now = new Date();
const line = ({ public: key }: SigningKey) => publicKeyLine(key);
/** Sign an index, and open it. */
function open(change: Partial<PublicationIndex>, by: SigningKey, demands: Partial<Demands> = {}, comment?: string) {
  const changed = { ...index, key: line(by), ...change };
  const bytes = Buffer.from(indexText(changed));
  const signature = minisignSignature(bytes, by, comment ?? indexComment(changed));
  return openIndex(bytes, signature, { key: first.public, now, where: 'it', ...demands });
}
const refused = (code: string) => expect.objectContaining({ code });
const seenAs = (seen: Partial<Seen>) => ({
  seen: () => ({ serial: index.serial, sha256: '', key: line(first), revoked: [], ...seen }),
});

describe('an index is believed', () => {
  test('that is signed by the key that is trusted', () => {
    expect(open({}, first).keys.map(({ id }) => id)).toEqual([first.public.id]);
  });

  test('that is newer than the one seen before, or the very same', () => {
    const { sha256: same } = open({}, first);
    open({}, first, seenAs({ sha256: same }));
    open({}, first, seenAs({ serial: index.serial - 1 }));
  });

  test('that is signed by a key which the trusted one has named, over several steps', () => {
    const succession = [succeed(first, second.public, 'pvgrub-forge'), succeed(second, third.public, 'pvgrub-forge')];
    expect(open({ succession }, third).keys).toHaveLength(3);
    open({ succession }, third, seenAs({ serial: 1, key: line(second) }));
  });
});

describe('an index is refused', () => {
  test('by another key', () => {
    expect(() => open({}, thief)).toThrow(refused('SIGNATURE_INVALID'));
    expect(() => open({ key: line(first) }, thief)).toThrow(refused('SIGNATURE_INVALID'));
  });

  test('with a byte changed, or with the signature of another file of its publisher', () => {
    const bytes = Buffer.from(indexText(index));
    const signature = minisignSignature(bytes, first, indexComment(index));
    const changed = Buffer.from(bytes.toString().replace('"pv-grub"', '"pvgrub2"'));
    expect(() => openIndex(changed, signature, { key: first.public, now, where: 'it' })).toThrow();
    expect(() => open({}, first, {}, 'file:SHA256SUMS')).toThrow(refused('SIGNATURE_INVALID'));
    expect(() => open({}, first, {}, indexComment({ ...index, publication: 'another' }))).toThrow(refused('SIGNATURE_INVALID'));
  });

  test('that is older than one seen before, or another one with the same serial', () => {
    expect(() => open({}, first, seenAs({ serial: index.serial + 1 }))).toThrow(refused('INDEX_REPLAYED'));
    expect(() => open({}, first, seenAs({ sha256: sha256('other') }))).toThrow(refused('INDEX_REPLAYED'));
  });

  test('that has expired, or is of the future', () => {
    expect(() => open({ expires: '2020-01-01T00:00:00Z' }, first)).toThrow(refused('INDEX_EXPIRED'));
    open({ expires: '2020-01-01T00:00:00Z' }, first, { mayBeExpired: true });
    expect(() => open({ issued: '2999-01-01T00:00:00Z', expires: '2999-02-01T00:00:00Z' }, first)).toThrow(refused('INDEX_INVALID'));
  });

  test('by a successor that nobody has named, or that was named for another publication', () => {
    const by = (succession: PublicationIndex['succession']) => () => open({ succession }, second);
    expect(by([succeed(thief, second.public, 'pvgrub-forge')])).toThrow(refused('SIGNATURE_INVALID'));
    expect(by([{ ...succeed(thief, second.public, 'pvgrub-forge'), from: line(first) }])).toThrow(refused('SIGNATURE_INVALID'));
    expect(by([{ ...succeed(first, thief.public, 'pvgrub-forge'), to: line(second) }])).toThrow(refused('SIGNATURE_INVALID'));
    expect(by([succeed(first, second.public, 'another')])).toThrow(refused('SIGNATURE_INVALID'));
  });

  test('whose successors go in a circle', () => {
    const succession = [succeed(first, second.public, 'pvgrub-forge'), succeed(second, first.public, 'pvgrub-forge')];
    expect(() => open({ succession }, thief)).toThrow(refused('SIGNATURE_INVALID'));
  });

  test('by a key that is revoked, in it or in what was seen before; also where a revoked key is on the way', () => {
    const why = { when: '2026-01-01T00:00:00Z', why: 'stolen' };
    const succession = [succeed(first, second.public, 'pvgrub-forge')];
    expect(() => open({ revoked: [{ key: first.public.id, ...why }] }, first)).toThrow(refused('KEY_REVOKED'));
    expect(() => open({}, first, seenAs({ serial: 1, revoked: [first.public.id] }))).toThrow(refused('KEY_REVOKED'));
    expect(() => open({ succession, revoked: [{ key: first.public.id, ...why }] }, second)).toThrow(refused('KEY_REVOKED'));
    open({ succession, revoked: [{ key: first.public.id, ...why }] }, second, { key: second.public });
  });

  test('by the old key, or by one that a thief of it has named, once its successor was seen', () => {
    const succession = [succeed(first, thief.public, 'pvgrub-forge')];
    const before = seenAs({ serial: 1, key: line(second) });
    expect(() => open({ serial: index.serial + 5 }, first, before)).toThrow(refused('SIGNATURE_INVALID'));
    expect(() => open({ succession, serial: index.serial + 5 }, thief, before)).toThrow(refused('SIGNATURE_INVALID'));
  });
});
