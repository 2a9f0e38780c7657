import { readFileSync } from 'node:fs';
import type { Catalog, Release } from '../catalog/types.ts';
import { UsageError } from '../errors.ts';
import { writeFileAtomic } from '../util/files.ts';

/** The lock file: checksums of tarballs that an OpenPGP signature has proved, for later runs to pin. */

/** One tarball of Xen, by its version. */
export interface LockedTarball {
  sha256: string;
  sha512: string;
  /** Bytes. */
  size: number;
  /** What proved it: fingerprint of the key that is pinned, the signature's hash and day. */
  signature: { key: string; hash: string; made: string };
}

export interface Lock {
  schema: 1;
  xen: Record<string, LockedTarball>;
}

const has = (value: unknown, form: RegExp) => typeof value === 'string' && form.test(value);

/**
 * Read a lock file; one that is not there is empty.
 * @throws UsageError LOCK_INVALID where it cannot be read or has not its form
 */
export function readLock(file: string): Lock {
  const invalid = (why: string, cause?: unknown) =>
    new UsageError('LOCK_INVALID', `the lock file ${file} cannot be used: ${why}`, {
      hint: 'restore it, or remove it and run `pvgrub sources lock` again',
      cause,
    });
  let lock: Lock;
  try {
    lock = JSON.parse(readFileSync(file, 'utf8')) as Lock;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { schema: 1, xen: {} };
    throw invalid((error as Error).message, error);
  }
  if (lock?.schema !== 1 || typeof lock.xen !== 'object' || lock.xen === null) throw invalid('it has another form');
  for (const [version, entry] of Object.entries(lock.xen)) {
    const { sha256, sha512, size, signature } = entry ?? {};
    const right =
      has(sha256, /^[0-9a-f]{64}$/) &&
      has(sha512, /^[0-9a-f]{128}$/) &&
      Number.isSafeInteger(size) &&
      has(signature?.key, /^[0-9A-F]{40}$/);
    if (!right) throw invalid(`its entry for ${version} has another form`);
  }
  return lock;
}

/** Write a lock file, sorted, whole or not at all. */
export async function writeLock(file: string, { schema, xen }: Lock): Promise<void> {
  const sorted = Object.fromEntries(Object.entries(xen).sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })));
  await writeFileAtomic(file, `${JSON.stringify({ schema, xen: sorted }, null, 2)}\n`);
}

/**
 * The catalog with the checksums of a lock file where it has none itself. Pure.
 * @throws UsageError LOCK_INVALID for a checksum that contradicts the catalog, or one proved by another key than the pinned
 */
export function lockedCatalog(catalog: Catalog, lock: Lock): Catalog {
  const locked = (release: Release): Release => {
    const entry = lock.xen[release.version];
    if (!entry) return release;
    const wrong =
      entry.signature.key !== catalog.xen.key
        ? { expected: `key ${catalog.xen.key}`, got: `key ${entry.signature.key}` }
        : (['sha256', 'sha512'] as const)
            .filter((name) => release[name] !== undefined && release[name] !== entry[name])
            .map((name) => ({ expected: `${name} ${release[name]}`, got: `${name} ${entry[name]}` }))[0];
    if (wrong) {
      throw new UsageError('LOCK_INVALID', `the lock file contradicts the catalog about xen ${release.version}`, {
        ...wrong,
        hint: 'find out which is right before you go on; the catalog is what was published, the lock file what was signed',
      });
    }
    if (release.sha256 !== undefined || release.sha512 !== undefined) return release;
    const { sha256, sha512, size } = entry;
    return { ...release, sha256, sha512, size };
  };
  if (Object.keys(lock.xen).length === 0) return catalog;
  return { ...catalog, xen: { ...catalog.xen, releases: catalog.xen.releases.map(locked) } };
}
