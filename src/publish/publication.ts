import { sumLine } from '../build/artifacts.ts';
import { OutputError, UsageError } from '../errors.ts';
import { sha256 } from '../util/hash.ts';
import {
  INDEX,
  INDEX_SIGNATURE,
  indexComment,
  indexText,
  lastingSignature,
  type PublicationIndex,
  type PublishedImage,
} from './index-file.ts';
import { type PublicKey, publicKeyLine, publicKeyText, type SigningKey } from './key.ts';
import { minisignSignature } from './minisign.ts';
import { page } from './page.ts';
import { sshSignature } from './sshsig.ts';
import { succeed } from './succession.ts';

/** A publication's next index, and what stands beside it. Pure. */

/** What a publisher asks for; what is not said stays as it was. */
export interface Wishes {
  /** Name of the publication. */
  publication?: string | undefined;
  /** Where readers find it: for the commands on its page. */
  url?: string | undefined;
  /** How long an index holds, in days. */
  days: number;
  /** The key that will sign after this one. */
  nextKey?: PublicKey | undefined;
  revoke: readonly { key: string; why: string }[];
  /** Successions and revocations of other publications that this one takes in. */
  carry?: Pick<PublicationIndex, 'succession' | 'revoked'> | undefined;
  /** Ids of images to take out. */
  withdraw: readonly string[];
  /** Give up images that were superseded before this run. */
  prune: boolean;
  /** A new serial and expiry although nothing has changed. */
  renew: boolean;
}

/** What an index is made from. */
export interface IndexInput {
  old: { index: PublicationIndex; sha256: string } | undefined;
  images: readonly PublishedImage[];
  wishes: Wishes;
  key: SigningKey;
  now: Date;
}

/** The next index, what stands at the top with it, and what has changed. */
export interface NextIndex extends Views {
  added: string[];
  replaced: string[];
  withdrawn: string[];
}

/** See {@link withViews}. */
interface Views {
  index: PublicationIndex;
  /** By name; what may be replaced only together, in this order. */
  views: Map<string, Buffer>;
}

const DAY_MS = 24 * 3600_000;
const NAME = 'pvgrub-forge';

/**
 * The next index, the one before where nothing changes. The serial is the time in seconds, or one more than before: a publisher who has lost everything can
 * go on.
 * @throws OutputError OUTPUT_DIFFERS where one input hash has two images; UsageError OPTION_INVALID
 */
export function nextIndex({ old, images, wishes, key, now }: IndexInput): NextIndex {
  const was = old?.index;
  const { images: joined, superseded, ...changes } = joinImages(was, images, wishes);
  const publication = wishes.publication ?? was?.publication ?? NAME;
  if (was && publication !== was.publication)
    throw new UsageError('OPTION_INVALID', `this is the publication "${was.publication}", not "${publication}"`, {
      hint: 'its readers would refuse another name: publish into a folder of its own',
    });
  const revoked = revokedOf(was, wishes, now);
  if (revoked.some((one) => one.key === key.public.id))
    throw new UsageError(
      'OPTION_INVALID',
      `the key ${key.public.id} cannot sign its own revocation, nor after it: nobody would believe it`,
      {
        hint: 'announce the next key (--next-key), publish with that, and revoke this one then (docs/publishing.md, Keys)',
      },
    );
  const days = Math.min(wishes.days, 3650);
  const draft: PublicationIndex = {
    schema: 1,
    kind: 'pvgrub-forge publication',
    publication,
    serial: was?.serial ?? 0,
    issued: was?.issued ?? '',
    expires: was?.expires ?? '',
    ...((wishes.url ?? was?.url) ? { url: wishes.url ?? was?.url } : {}),
    key: publicKeyLine(key.public),
    succession: successionOf(was, wishes, key, publication),
    revoked,
    previous: was?.previous ?? null,
    files: was?.files ?? [],
    images: joined,
    superseded,
  };
  const aged = was !== undefined && Date.parse(was.expires) - now.getTime() < (days * DAY_MS) / 3;
  const unchanged = withViews(draft, key);
  const same = was !== undefined && indexText(unchanged.index) === indexText(was);
  if (same && !aged && !wishes.renew) return { ...changes, ...unchanged };
  const index: PublicationIndex = {
    ...draft,
    serial: Math.max((was?.serial ?? 0) + 1, Math.floor(now.getTime() / 1000)),
    issued: second(now),
    expires: second(new Date(now.getTime() + days * DAY_MS)),
    previous: old ? { serial: old.index.serial, sha256: old.sha256 } : null,
  };
  return { ...changes, ...withViews(index, key) };
}

/** A time to the second, ISO 8601. */
function second(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}

function joinImages(was: PublicationIndex | undefined, given: readonly PublishedImage[], { withdraw, prune }: Wishes) {
  const byId = new Map((was?.images ?? []).map((image) => [image.id, image]));
  const superseded = new Map((prune ? [] : (was?.superseded ?? [])).map((one) => [one.path, one]));
  const added: string[] = [];
  const replaced: string[] = [];
  const withdrawn: string[] = [];
  const supersede = ({ id, path, image, files }: PublishedImage) => superseded.set(path, { id, path, files: [image, ...files] });
  for (const image of given) {
    const before = byId.get(image.id);
    byId.set(image.id, image);
    if (before?.path === image.path) continue;
    demandNoConflict(before, image);
    if (before) supersede(before);
    (before ? replaced : added).push(image.id);
  }
  for (const id of withdraw) {
    const before = byId.get(id);
    if (!before) throw new UsageError('SELECTOR_NO_MATCH', `there is no ${id} to withdraw`);
    supersede(before);
    byId.delete(id);
    withdrawn.push(id);
  }
  const images = [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  // What is offered again is superseded no longer.
  for (const { path } of images) superseded.delete(path);
  return {
    images,
    superseded: [...superseded.values()].sort((a, b) => (a.path < b.path ? -1 : 1)),
    added,
    replaced,
    withdrawn,
  };
}

/** @throws OutputError OUTPUT_DIFFERS where two images are said to come of the same inputs */
function demandNoConflict(before: PublishedImage | undefined, image: PublishedImage): void {
  if (!before || before.inputHash !== image.inputHash || before.image.sha256 === image.image.sha256) return;
  throw new OutputError('OUTPUT_DIFFERS', `two images of ${image.id} differ, and are said to come of the same inputs`, {
    expected: `${before.image.sha256} (${before.path}/${before.image.name})`,
    got: `${image.image.sha256} (${image.path}/${image.image.name})`,
    hint: `pvgrub reproduce ${image.id} tells which one comes about again`,
  });
}

function successionOf(was: PublicationIndex | undefined, { nextKey: next, carry }: Wishes, key: SigningKey, publication: string) {
  const all = [...(was?.succession ?? []), ...(carry?.succession ?? [])];
  const succession = all.filter((one, i) => all.findIndex(({ from }) => from === one.from) === i);
  if (!next) return succession;
  const from = publicKeyLine(key.public);
  if (publicKeyLine(next) === from) throw new UsageError('OPTION_INVALID', 'the next key is the present one');
  const there = succession.find((one) => one.from === from);
  if (!there) return [...succession, succeed(key, next, publication)];
  if (there.to === publicKeyLine(next)) return succession;
  throw new UsageError('OPTION_INVALID', 'another next key is announced already, and some readers follow it', {
    expected: there.to,
    got: publicKeyLine(next),
  });
}

function revokedOf(was: PublicationIndex | undefined, { revoke, carry }: Wishes, now: Date) {
  const fresh = revoke.map(({ key, why }) => ({ key, when: second(now), why }));
  const all = [...(was?.revoked ?? []), ...(carry?.revoked ?? []), ...fresh];
  return all.filter((one, i) => all.findIndex(({ key }) => key === one.key) === i);
}

/** SHA256SUMS over all images, sorted by name. */
export function sumsText(images: readonly Pick<PublishedImage, 'path' | 'image'>[]): string {
  const lines = images.map(({ path, image }) => [`${path}/${image.name}`, image.sha256] as const);
  return lines
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, digest]) => sumLine(digest, name))
    .join('');
}

/** An index with everything that stands at the top of its publication, by name: the index itself last. */
function withViews(draft: PublicationIndex, key: SigningKey): Views {
  const { publication, serial } = draft;
  const sums = Buffer.from(sumsText(draft.images));
  const tops: [string, Buffer][] = [
    ['SHA256SUMS', sums],
    ['SHA256SUMS.minisig', Buffer.from(minisignSignature(sums, key, `file:SHA256SUMS publication:${publication} serial:${serial}`))],
    ['SHA256SUMS.sig', Buffer.from(sshSignature(sums, key))],
    ['index.html', Buffer.from(page(draft))],
    ['key.pub', Buffer.from(publicKeyText(key.public))],
  ];
  const index = { ...draft, files: tops.map(([name, bytes]) => ({ name, size: bytes.length, sha256: sha256(bytes) })) };
  const bytes = Buffer.from(indexText(index));
  const signature = Buffer.from(minisignSignature(bytes, key, indexComment(index)));
  return { index, views: new Map([[lastingSignature(sha256(bytes)), signature], ...tops, [INDEX_SIGNATURE, signature], [INDEX, bytes]]) };
}
