import { copyFile, link, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SourceError, UsageError } from '../errors.ts';
import { claim } from '../sources/claim.ts';
import { besides, ifThere, settleFile, syncFolder } from '../util/files.ts';
import { sha256File } from '../util/hash.ts';
import { inFolder } from './room.ts';

/** Puts images where Xen looks for them, and keeps what was there. */

/** Ends the name of the image that was there before. */
export const PREVIOUS = '.previous';
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

/** Do something to an installed image, alone, once a swap that an earlier run was killed at has been finished: `finished`. */
async function alone<T>(path: string, work: (finished: boolean) => Promise<T>): Promise<T> {
  const folder = dirname(path);
  return inFolder(folder, async () => {
    const release = await claim(join(folder, `.${basename(path)}`));
    if (!release) throw new UsageError('FILE_THERE', `another process is changing ${path}`, { hint: 'wait until it is done' });
    try {
      const done = await work(await finishSwap(path));
      await syncFolder(folder);
      return done;
    } finally {
      await release();
    }
  });
}

/**
 * Install an image with its signature: a reader of `path` sees the old image or the new one, whole.
 * The one that is replaced is kept as `<path>.previous`.
 * @param from a file that was verified, with its signature beside it
 * @param sha256 of the image: it is read again on its way
 * @throws SourceError STORE_DISK_FULL: nothing has changed then; SOURCE_MISMATCH where the disk does not keep what is
 *   written; UsageError FILE_UNREADABLE, FILE_THERE
 */
export async function install(from: string, path: string, sha256: string): Promise<Installed> {
  return alone(path, async () => {
    const asides: string[] = [];
    try {
      const signature = await copyAside(`${from}${SIGNATURE}`, `${path}${SIGNATURE}`, asides);
      if ((await ifThere(sha256File(path))) === sha256) {
        await rename(signature, `${path}${SIGNATURE}`);
        return { path, there: true };
      }
      const image = await copyAside(from, path, asides);
      const is = await sha256File(image);
      if (is !== sha256) throw new SourceError('SOURCE_MISMATCH', `${image} is not what was written to it`, { expected: sha256, got: is });
      const kept = await keep(path, asides);
      await rename(image, path);
      await rename(signature, `${path}${SIGNATURE}`);
      return { path, there: false, ...(kept ? { previous: `${path}${PREVIOUS}` } : {}) };
    } finally {
      for (const name of asides) await rm(name, { force: true });
    }
  });
}

/** Copy a file beside another one, on the disk before this returns. */
async function copyAside(file: string, to: string, asides: string[]): Promise<string> {
  const name = besides(to);
  asides.push(name);
  await copyFile(file, name);
  await settleFile(name);
  return name;
}

/** Another name for a file, which keeps its own; a copy on file systems without links. @returns false where there is none */
async function also(file: string, name: string): Promise<boolean> {
  const linked = link(file, name).catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? Promise.reject(error) : copyFile(file, name),
  );
  return (await ifThere(linked.then(() => true))) ?? false;
}

/** Give an image that is there, and its signature, the names of the previous one; they keep their own as well. */
async function keep(path: string, asides: string[]): Promise<boolean> {
  const name = besides(path);
  asides.push(name);
  if (!(await also(path, name))) return false;
  const signature = besides(`${path}${SIGNATURE}`);
  asides.push(signature);
  const signed = await also(`${path}${SIGNATURE}`, signature);
  // A signature of an image before the previous one would only mislead.
  await rm(signedPrevious(path), { force: true });
  await rename(name, `${path}${PREVIOUS}`);
  if (signed) await rename(signature, signedPrevious(path));
  return true;
}

const signedPrevious = (path: string) => `${path}${PREVIOUS}${SIGNATURE}`;

/**
 * Change images with those that were there before; doing it again undoes it.
 * @param names image files; all that have a previous one if empty
 * @returns paths that were changed
 * @throws UsageError FILE_UNREADABLE where there is no previous one, FILE_THERE; SourceError STORE_DISK_FULL
 */
export async function rollBack(folder: string, names: readonly string[]): Promise<string[]> {
  const there = (await ifThere(readdir(folder))) ?? [];
  const previous = there.filter((name) => name.endsWith(PREVIOUS)).map((name) => name.slice(0, -PREVIOUS.length));
  // Of a swap that was killed, the previous one may not be there now.
  const halfway = there.filter((name) => /^\..+\.swap$/.test(name)).map((name) => name.slice(1, -'.swap'.length));
  const all = [...new Set([...previous, ...halfway])].filter((name) => !name.endsWith(SIGNATURE)).sort();
  const wanted = names.length === 0 ? all : names.map((name) => basename(name));
  const missing = wanted.length === 0 ? ['image'] : wanted.filter((name) => !all.includes(name));
  if (missing.length > 0)
    throw new UsageError('FILE_UNREADABLE', `${folder} has no previous ${missing.join(', ')}`, {
      ...(all.length > 0 ? { hint: `there are previous ones of: ${all.join(', ')}` } : {}),
    });
  for (const name of wanted) await alone(join(folder, name), async (finished) => void (finished || (await swap(join(folder, name)))));
  return wanted.map((name) => join(folder, name));
}

/** Where an image and its signature are while they are swapped. The first of them is the mark that a swap has begun. */
function asidesOf(path: string): { image: string; signature: string } {
  const at = (name: string) => join(dirname(path), `.${basename(name)}.swap`);
  return { image: at(path), signature: at(`${path}${SIGNATURE}`) };
}

/** The same bytes. Links would tell as well, but not every file system has them. */
async function same(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map((path) => ifThere(readFile(path))));
  return one !== undefined && other !== undefined && one.equals(other);
}

const isThere = async (path: string) => (await ifThere(readFile(path))) !== undefined;

/** An image and its previous one change their names, their signatures with them. */
async function swap(path: string): Promise<void> {
  if (await same(path, `${path}${PREVIOUS}`)) return;
  const aside = asidesOf(path);
  await also(`${path}${SIGNATURE}`, aside.signature);
  if (await also(path, aside.image)) return void (await finishSwap(path));
  await rename(`${path}${PREVIOUS}`, path);
  await ifThere(rename(signedPrevious(path), `${path}${SIGNATURE}`));
}

/** Finish a swap from wherever it was killed. @returns false where none has begun */
async function finishSwap(path: string): Promise<boolean> {
  const aside = asidesOf(path);
  const signature = `${path}${SIGNATURE}`;
  const begun = await isThere(aside.image);
  if (begun) {
    if (await same(path, aside.image)) await ifThere(rename(`${path}${PREVIOUS}`, path));
    if (!(await ifThere(rename(signedPrevious(path), signature).then(() => true))) && (await same(signature, aside.signature)))
      await rm(signature, { force: true });
    await rename(aside.image, `${path}${PREVIOUS}`);
  }
  // Without the mark: either it had not begun, or this was the last step of it.
  if (await same(signature, aside.signature)) {
    await rm(aside.signature, { force: true });
    return begun;
  }
  return (await ifThere(rename(aside.signature, signedPrevious(path)).then(() => true))) ?? begun;
}
