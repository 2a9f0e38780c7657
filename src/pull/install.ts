import { copyFile, link, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SourceError, UsageError } from '../errors.ts';
import { besides, ifThere } from '../util/files.ts';
import { sha256File } from '../util/hash.ts';
import { noRoom } from './room.ts';

/** Puts images where Xen looks for them, and keeps what was there. */

/** Ends the name of the image that was there before. */
const PREVIOUS = '.previous';
/** Ends the name of an image's signature, which goes with it. */
export const SIGNATURE = '.minisig';

/** What installing did. */
export interface Installed {
  path: string;
  /** The same image was there already. */
  there: boolean;
  /** Where the one that was there before is kept. */
  previous?: string;
}

/**
 * Install an image with its signature: a reader of `path` sees the old image or the new one, whole.
 * The one that is replaced is kept as `<path>.previous`.
 * @param from a file that was verified
 * @param sha256 of the image: it is read again on its way
 * @throws SourceError STORE_DISK_FULL: nothing has changed then; VerifyError-like faults of the disk as SourceError SOURCE_MISMATCH
 */
export async function install(from: string, path: string, sha256: string): Promise<Installed> {
  const there = (await ifThere(sha256File(path))) === sha256;
  const asides: string[] = [];
  const aside = async (file: string, to: string) => {
    const name = besides(to);
    asides.push(name);
    await copyFile(file, name);
    const handle = await open(name, 'r+');
    try {
      await handle.chmod(0o644);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return name;
  };
  try {
    const signature = await aside(`${from}${SIGNATURE}`, `${path}${SIGNATURE}`);
    if (there) {
      await rename(signature, `${path}${SIGNATURE}`);
      return { path, there };
    }
    const image = await aside(from, path);
    const is = await sha256File(image);
    if (is !== sha256) throw new SourceError('SOURCE_MISMATCH', `${image} is not what was written to it`, { expected: sha256, got: is });
    const kept = await keep(path, asides);
    await rename(image, path);
    await rename(signature, `${path}${SIGNATURE}`);
    await syncFolder(dirname(path));
    return { path, there, ...(kept ? { previous: `${path}${PREVIOUS}` } : {}) };
  } catch (error) {
    throw noRoom(error, dirname(path));
  } finally {
    for (const name of asides) await rm(name, { force: true });
  }
}

/** Give an image that is there, and its signature, the names of the previous one; they keep their own as well. */
async function keep(path: string, asides: string[]): Promise<boolean> {
  let kept = false;
  for (const [file, to] of [
    [path, `${path}${PREVIOUS}`],
    [`${path}${SIGNATURE}`, `${path}${PREVIOUS}${SIGNATURE}`],
  ] as const) {
    const name = besides(to);
    asides.push(name);
    const done = await ifThere(
      link(file, name).then(
        () => true,
        // File systems without links take a copy.
        (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? Promise.reject(error) : copyFile(file, name).then(() => true)),
      ),
    );
    if (done) await rename(name, to);
    // A signature of an image before the previous one would only mislead.
    else await rm(to, { force: true });
    kept ||= done ?? false;
  }
  return kept;
}

/**
 * Change images with those that were there before; doing it again undoes it.
 * @param names image files; all that have a previous one if empty
 * @returns paths that were changed
 * @throws UsageError FILE_UNREADABLE where there is no previous one
 */
export async function rollBack(folder: string, names: readonly string[]): Promise<string[]> {
  const there = (await ifThere(readdir(folder))) ?? [];
  const all = there.filter((name) => name.endsWith(PREVIOUS)).map((name) => name.slice(0, -PREVIOUS.length));
  const wanted = names.length === 0 ? all : names.map((name) => basename(name));
  const missing = wanted.length === 0 ? ['image'] : wanted.filter((name) => !all.includes(name));
  if (missing.length > 0)
    throw new UsageError('FILE_UNREADABLE', `${folder} has no previous ${missing.join(', ')}`, {
      ...(all.length > 0 ? { hint: `there are previous ones of: ${all.join(', ')}` } : {}),
    });
  for (const name of wanted) {
    const path = join(folder, name);
    await swap(path, `${path}${PREVIOUS}`);
    await swap(`${path}${SIGNATURE}`, `${path}${PREVIOUS}${SIGNATURE}`);
  }
  await syncFolder(folder);
  return wanted.map((name) => join(folder, name));
}

/** Two files change their names; `path` is one of them, whole, at any moment. One that is not there is not there after, either. */
async function swap(path: string, other: string): Promise<void> {
  const aside = besides(path);
  const had = (await ifThere(copyFile(path, aside).then(() => true))) ?? false;
  try {
    if (!(await ifThere(rename(other, path).then(() => true)))) await rm(path, { force: true });
    if (had) await rename(aside, other);
  } catch (error) {
    await rm(aside, { force: true });
    throw noRoom(error, dirname(path));
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
