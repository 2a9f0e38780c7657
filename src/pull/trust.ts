import { VerifyError } from '../errors.ts';
import { indexComment, type PublicationIndex, parseIndex, parseSigner } from '../publish/index-file.ts';
import { type PublicKey, publicKeyLine } from '../publish/key.ts';
import { prehash, verifyMinisign } from '../publish/minisign.ts';
import { followKeys } from '../publish/succession.ts';
import { sha256 } from '../util/hash.ts';

/** Whether an index may be believed: signature, successors, revocations, age, and what was seen before. Pure. */

/** What is remembered of a publication, so that an old index cannot be played again. */
export interface Seen {
  serial: number;
  /** SHA-256 of that index. */
  sha256: string;
  /** The key that signed it, as a line. */
  key: string;
  /** Ids of keys that were revoked. */
  revoked: string[];
}

/** An index that is believed. */
export interface Opened {
  index: PublicationIndex;
  sha256: string;
  /** From the key that was given to the one that signed. */
  keys: PublicKey[];
}

/** What an index is held against. */
export interface Demands {
  /** The key that the reader trusts. */
  key: PublicKey;
  /** What was seen before of the publication with a name. */
  seen?: ((publication: string) => Seen | undefined) | undefined;
  now: Date;
  /** What to call the index in errors. */
  where: string;
  /** For its publisher, who renews it. */
  mayBeExpired?: boolean;
}

/**
 * Open an index: nothing of it is to be used before this has returned.
 * @param signature of minisign, as published beside it
 * @throws VerifyError INDEX_INVALID, SIGNATURE_INVALID, KEY_REVOKED, INDEX_EXPIRED, INDEX_REPLAYED
 */
export function openIndex(bytes: Buffer, signature: string, { key, seen: seenOf, now, where, mayBeExpired = false }: Demands): Opened {
  // Only what it takes to know whose it is; the rest of it is looked at when its signature is right.
  const keys = followKeys(key, parseSigner(bytes.toString('utf8'), where), where);
  const signer = keys.at(-1) as PublicKey;
  const said = verifyMinisign(prehash(bytes), signature, signer, where);
  const index = parseIndex(bytes.toString('utf8'), where);
  const seen = seenOf?.(index.publication);
  if (said !== indexComment(index))
    throw new VerifyError('SIGNATURE_INVALID', `the signature of ${where} is for another index`, {
      expected: indexComment(index),
      got: said,
    });
  demandKeys(keys, index, seen, where);
  const opened: Opened = { index, sha256: sha256(bytes), keys };
  demandAge(opened, seen, now, where, mayBeExpired);
  return opened;
}

function demandKeys(keys: readonly PublicKey[], index: PublicationIndex, seen: Seen | undefined, where: string): void {
  const revoked = new Map([
    ...(seen?.revoked ?? []).map((id) => [id, 'as an index before this one said'] as const),
    ...index.revoked.map(({ key, when, why }) => [key, `${when}: ${why}`] as const),
  ]);
  for (const { id } of keys) {
    if (!revoked.has(id)) continue;
    throw new VerifyError('KEY_REVOKED', `the key ${id} is revoked; ${where} is not believed by it`, {
      got: revoked.get(id) as string,
      hint: "ask the publisher for the present key by another way than this one, and give it with --key (docs/publishing.md, 'Keys')",
    });
  }
  if (seen && !keys.some((one) => publicKeyLine(one) === seen.key))
    throw new VerifyError('SIGNATURE_INVALID', `${where} goes round a key that had taken over`, {
      expected: `signed by the key ${seen.key}, or one that follows it`,
      got: `signed by ${index.key}`,
      hint: 'the older key may have been stolen: ask the publisher',
    });
}

/** How far a publisher's clock may be ahead of ours. */
const AHEAD_MS = 24 * 3600_000;

function demandAge({ index, sha256 }: Opened, seen: Seen | undefined, now: Date, where: string, mayBeExpired: boolean): void {
  if (seen && index.serial < seen.serial)
    throw new VerifyError('INDEX_REPLAYED', `${where} is older than what was seen before`, {
      expected: `serial ${seen.serial} or later`,
      got: `serial ${index.serial}`,
      hint: 'the server, or somebody on the way, gives an old one out: try another mirror, or ask the publisher',
    });
  if (seen && index.serial === seen.serial && sha256 !== seen.sha256)
    throw new VerifyError('INDEX_REPLAYED', `there are two indexes with the serial ${index.serial}`, {
      expected: `sha256 ${seen.sha256}, as seen before`,
      got: `sha256 ${sha256}`,
      hint: 'ask the publisher; publishing again gives a new serial',
    });
  if (mayBeExpired) return;
  if (Date.parse(index.expires) <= now.getTime())
    throw new VerifyError('INDEX_EXPIRED', `${where} has expired`, {
      expected: 'an index that holds now',
      got: `serial ${index.serial}, issued ${index.issued}, expired ${index.expires}`,
      hint: 'somebody may give an old one out, or the publisher has not renewed it (pvgrub publish does); is the clock right here?',
    });
  if (Date.parse(index.issued) > now.getTime() + AHEAD_MS)
    throw new VerifyError('INDEX_INVALID', `${where} is of the future`, {
      expected: `issued before ${now.toISOString()}`,
      got: `issued ${index.issued}`,
      hint: 'is the clock right here?',
    });
}
