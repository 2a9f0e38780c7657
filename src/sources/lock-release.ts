import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Release, SourceRef } from '../catalog/types.ts';
import { SourceError } from '../errors.ts';
import { besides } from '../util/files.ts';
import { copyLimited, type FetchContext, originsOf } from './fetch.ts';
import type { LockedTarball } from './lock.ts';
import { download } from './origins/download.ts';
import { describeOrigin, type GivenOrigin, publicOrigin } from './origins/spec.ts';
import { checkSignature } from './signature.ts';

/** What locking a release needs beside what fetching needs. */
export interface LockContext extends FetchContext {
  /** The public key file's content, and the fingerprint that it must hold. */
  key: Uint8Array;
  fingerprint: string;
}

/**
 * Get a release's tarball and its signature, check both, and take the tarball into the store.
 * @returns what to lock
 * @throws SourceError SIGNATURE_INVALID; SOURCE_MISMATCH where a published checksum speaks against the tarball, or it is
 *   of another release; SOURCE_UNAVAILABLE, SOURCE_OFFLINE, DOWNLOAD_FAILED where it cannot be had; what the store says of the archive
 */
export async function lockRelease(ref: SourceRef, release: Release, url: string, context: LockContext): Promise<LockedTarball> {
  const given = await originsOf({ ...ref, origins: [{ type: 'tarball', url }] }, context);
  const failures: SourceError[] = [];
  for (const origin of given) {
    try {
      return await lockFrom(origin, ref, release, context);
    } catch (error) {
      if (!(error instanceof SourceError) || error.code === 'STORE_DISK_FULL') throw error;
      failures.push(error);
    }
  }
  const [first] = failures;
  if (first && failures.length === 1) throw first;
  throw new SourceError(
    'SOURCE_UNAVAILABLE',
    `xen ${ref.version} cannot be locked:\n${failures.map(({ message }) => `  ${message}`).join('\n')}`,
  );
}

async function lockFrom(origin: GivenOrigin, ref: SourceRef, release: Release, context: LockContext): Promise<LockedTarball> {
  const incoming = await context.store.incoming();
  const tarball = besides(join(incoming, ref.file));
  const signature = besides(join(incoming, `${ref.file}.sig`));
  const where = `${ref.file} from ${describeOrigin(origin)}`;
  try {
    await bring(origin, ref, '', tarball, context);
    await bring(origin, ref, '.sig', signature, context);
    const data = await readFile(tarball);
    const facts = await checkSignature(data, await readFile(signature), context.key, { fingerprint: context.fingerprint, name: where });
    demandPublished(data, ref, release);
    // The signature says nothing of the file's name: another release's tarball is signed as well.
    const { top } = ref;
    const pins = { sha256: digest('sha256', data), sha512: digest('sha512', data) };
    await context.store.add(tarball, {
      ref: { ...ref, pins: { ...ref.pins, ...pins } },
      origin: publicOrigin(origin),
      top,
      trusted: false,
    });
    return { ...pins, size: data.length, signature: facts };
  } finally {
    await rm(tarball, { force: true });
    await rm(signature, { force: true });
  }
}

const digest = (algorithm: string, data: Uint8Array) => createHash(algorithm).update(data).digest('hex');

/** A checksum that packagers publish proves nothing, but one that differs speaks against a tarball. */
function demandPublished(data: Uint8Array, ref: SourceRef, release: Release): void {
  const algorithms = { md5: 'md5', sha1: 'sha1', blake2b: 'blake2b512' } as const;
  for (const [name, algorithm] of Object.entries(algorithms) as [keyof typeof algorithms, string][]) {
    const [expected, got] = [release[name], digest(algorithm, data)];
    if (expected === undefined || expected === got) continue;
    throw new SourceError('SOURCE_MISMATCH', `${ref.file} is signed, but it is not the one that packagers published`, {
      expected: `${name} ${expected}`,
      got: `${name} ${got}`,
      hint: 'find out why before you trust it: upstream may have made the tarball anew',
    });
  }
}

/** Bring the tarball, or with a suffix what lies beside it, from an origin that has files. */
async function bring(from: GivenOrigin, ref: SourceRef, suffix: string, to: string, context: LockContext): Promise<void> {
  const { settings, signal, events } = context;
  const limit = settings.limits.source;
  if (from.type === 'dir') await copyLimited(join(from.path, `${ref.file}${suffix}`), to, limit);
  else if (from.type === 'file') await copyLimited(`${from.path}${suffix}`, to, limit);
  else if (from.type !== 'tarball') {
    throw new SourceError('SOURCE_UNAVAILABLE', `${describeOrigin(from)} has no signed tarball`, {
      hint: 'leave --origin xen out, or give a folder, file or URL of tarballs with a .sig beside each',
    });
  } else if (settings.offline) {
    throw new SourceError('SOURCE_OFFLINE', `${describeOrigin(from)} is not asked, because of --offline`);
  } else {
    events?.started?.(ref, `${describeOrigin(from)}${suffix}`);
    const onProgress = (done: number, total: number | undefined) => events?.progress?.(ref, done, total);
    await download(`${from.url}${suffix}`, to, { limit, signal, onProgress });
  }
}
