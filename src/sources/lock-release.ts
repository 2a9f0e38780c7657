import { createHash } from 'node:crypto';
import { copyFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Release, SourceRef } from '../catalog/types.ts';
import { SourceError } from '../errors.ts';
import { besides } from '../util/files.ts';
import { type FetchContext, originsOf } from './fetch.ts';
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
 * @throws SourceError SIGNATURE_INVALID; SOURCE_MISMATCH where a published checksum speaks against the tarball;
 *   SOURCE_UNAVAILABLE, SOURCE_OFFLINE, DOWNLOAD_FAILED where it cannot be had; what the store says of the archive
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
  const { store, settings } = context;
  const incoming = await store.incoming();
  const tarball = besides(join(incoming, ref.file));
  try {
    await bring(origin, ref.file, '', tarball, context);
    await bring(origin, ref.file, '.sig', `${tarball}.sig`, context);
    const data = await readFile(tarball);
    const facts = await checkSignature(data, await readFile(`${tarball}.sig`), context.key, {
      fingerprint: context.fingerprint,
      name: `${ref.file} from ${describeOrigin(origin)}`,
    });
    const digest = (name: string) => createHash(name).update(data).digest('hex');
    for (const [name, algorithm] of [
      ['md5', 'md5'],
      ['sha1', 'sha1'],
      ['blake2b', 'blake2b512'],
    ] as const) {
      const [expected, got] = [release[name], digest(algorithm)];
      if (expected === undefined || expected === got) continue;
      throw new SourceError('SOURCE_MISMATCH', `${ref.file} is signed, but it is not the one that packagers published`, {
        expected: `${name} ${expected}`,
        got: `${name} ${got}`,
        hint: 'find out why before you trust it: upstream may have made the tarball anew',
      });
    }
    const pins = { sha256: digest('sha256'), sha512: digest('sha512') };
    await store.add(tarball, { ref: { ...ref, pins: { ...ref.pins, ...pins } }, origin: publicOrigin(origin), trusted: false });
    return { ...pins, size: data.length, signature: facts };
  } finally {
    await rm(tarball, { force: true });
    await rm(`${tarball}.sig`, { force: true });
  }

  async function bring(from: GivenOrigin, file: string, suffix: string, to: string, { signal, events }: LockContext): Promise<void> {
    const copy = (path: string) =>
      copyFile(path, to).catch((error: Error) => {
        throw new SourceError('SOURCE_UNAVAILABLE', error.message, { cause: error });
      });
    if (from.type === 'dir') await copy(join(from.path, `${file}${suffix}`));
    else if (from.type === 'file') await copy(`${from.path}${suffix}`);
    else if (from.type !== 'tarball') {
      throw new SourceError('SOURCE_UNAVAILABLE', `${describeOrigin(from)} has no signed tarball`, {
        hint: 'leave --origin xen out, or give a folder, file or URL of tarballs with a .sig beside each',
      });
    } else if (settings.offline) {
      throw new SourceError('SOURCE_OFFLINE', `${describeOrigin(from)} is not asked, because of --offline`);
    } else {
      events?.started?.(ref, `${describeOrigin(from)}${suffix}`);
      const { limit, url } = { limit: settings.limits.source, url: `${from.url}${suffix}` };
      await download(url, to, { limit, signal, onProgress: (done, total) => events?.progress?.(ref, done, total) });
    }
  }
}
