import { OutputError, SourceError, UsageError, VerifyError } from '../errors.ts';
import type { Place } from '../pull/place.ts';
import { readIndex } from '../pull/read-index.ts';
import type { Opened } from '../pull/trust.ts';
import { sha256 } from '../util/hash.ts';
import { INDEX, MAX_INDEX, parseIndex } from './index-file.ts';
import { type PublicKey, publicKeyLine, type SigningKey } from './key.ts';
import type { Prepared } from './prepare.ts';
import { type NextIndex, nextIndex, type Wishes } from './publication.ts';
import { followKeys } from './succession.ts';
import type { Target } from './target.ts';

/** What publishing needs. */
export interface PublishInput {
  target: Target;
  /** The same, to be read. */
  place: Place;
  prepared: readonly Prepared[];
  wishes: Wishes;
  key: SigningKey;
  /** The key before this one, which signed what is there. */
  keyBefore?: PublicKey | undefined;
  allowUnproven: boolean;
  now: Date;
  signal?: AbortSignal | undefined;
}

/** What publishing did. */
export interface Published extends Omit<NextIndex, 'views'> {
  /** Nothing was written, not one byte. */
  untouched: boolean;
}

/**
 * Publish images beside those that are published already: images first, the index last. Stopped at any point, readers
 * see what was published before, and publishing again goes on.
 * @throws OutputError UNPROVEN, OUTPUT_DIFFERS, OUTPUT_DAMAGED; UsageError KEY_INVALID, OPTION_INVALID;
 *   BuildError OUTPUT_DISK_FULL; VerifyError where what is published already is not by this key
 */
export async function publish(input: PublishInput): Promise<Published> {
  const { target, prepared, wishes, key, allowUnproven, now, signal } = input;
  if (!allowUnproven) demandProven(prepared);
  const release = await target.lock();
  try {
    const old = await publishedBefore(input);
    demandOneKey(old, input);
    const { index, views, ...changes } = nextIndex({ old, images: prepared.map(({ image }) => image), wishes, key, now });
    if (index.images.length === 0 && changes.withdrawn.length === 0)
      throw new UsageError('SELECTOR_NO_MATCH', 'there is nothing to publish');
    const bytes = views.get(INDEX) as Buffer;
    demandReadable(bytes);
    let written = false;
    for (const one of prepared) {
      signal?.throwIfAborted();
      written = (await target.putImage(one)) || written;
    }
    signal?.throwIfAborted();
    written = (await target.commit(views)) || written;
    await target.tidy(index, sha256(bytes), changes.withdrawn);
    return { index, ...changes, untouched: !written };
  } finally {
    await release();
  }
}

/** What no reader would take is not written. @throws UsageError OPTION_INVALID */
function demandReadable(bytes: Buffer): void {
  try {
    if (bytes.length > MAX_INDEX) throw new Error(`an index of ${bytes.length} bytes; ${MAX_INDEX} are read`);
    parseIndex(bytes.toString('utf8'), INDEX);
  } catch (error) {
    throw new UsageError('OPTION_INVALID', `no reader would take this index: ${(error as Error).message}`, {
      hint: 'look at --name, --url and --why; give up old images with --prune',
      cause: error,
    });
  }
}

/** The index that is there, if there is one, opened as any reader does, except that it may have expired. */
async function publishedBefore({ place, key, keyBefore, now }: PublishInput): Promise<Opened | undefined> {
  const open = (by: PublicKey) => readIndex(place, { key: by, now, mayBeExpired: true });
  try {
    return await open(key.public);
  } catch (error) {
    if (error instanceof SourceError && error.code === 'SOURCE_UNAVAILABLE') return undefined;
    if (!(error instanceof VerifyError) || error.code !== 'SIGNATURE_INVALID') throw error;
    if (keyBefore) {
      const old = await open(keyBefore);
      followKeys(keyBefore, { ...old.index, key: publicKeyLine(key.public) }, INDEX);
      return old;
    }
    throw new VerifyError('SIGNATURE_INVALID', `what is published at ${place.name} is not signed by this key`, {
      expected: `signed by ${key.public.id}`,
      got: error.got ?? error.message,
      hint: 'if this key follows another one: --key-before <its public key>; else publish into a folder of its own',
      cause: error,
    });
  }
}

/** Everything in a publication is signed by one key: after a change of keys, every image is published anew, and there is no way back. */
function demandOneKey(old: Opened | undefined, { prepared, wishes, key, keyBefore }: PublishInput): void {
  if (!old || old.index.key === publicKeyLine(key.public)) return;
  if (!keyBefore || publicKeyLine(keyBefore) === publicKeyLine(key.public))
    throw new UsageError('KEY_INVALID', `the key ${old.keys.at(-1)?.id} has taken over from ${key.public.id} here`, {
      hint: 'sign with that one: readers who have seen it believe this one no more',
    });
  const given = new Set([...prepared.map(({ image }) => image.id), ...wishes.withdraw]);
  const left = old.index.images.filter(({ id }) => !given.has(id)).map(({ id }) => id);
  if (left.length === 0) return;
  throw new UsageError('KEY_INVALID', `${left.length} published images are signed by the key before this one`, {
    got: left.slice(0, 10).join(', '),
    hint: 'attest all images with the new key, and publish all of them at once; or take some out with --withdraw',
  });
}

/** @throws OutputError UNPROVEN naming what nobody has shown of which image */
export function demandProven(prepared: readonly Prepared[]): void {
  const unproven = prepared.filter(({ image }) => image.unproven.length > 0);
  if (unproven.length === 0) return;
  const lines = unproven.slice(0, 10).map(({ image }) => `${image.id}: ${image.unproven.join('; ')}`);
  throw new OutputError('UNPROVEN', `${unproven.length} of ${prepared.length} images are not proven`, {
    expected: 'every source pinned, booted in a real Xen, built again bit for bit',
    got: [...lines, ...(unproven.length > 10 ? [`and ${unproven.length - 10} more`] : [])].join('\n'),
    hint: 'pvgrub boot and pvgrub reproduce, then attest again; or --allow-unproven, which marks them in index and page',
  });
}
