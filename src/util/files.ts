import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A name for a temporary file or folder beside `path`; the leading dot and the suffix mark it as ours. */
export function besides(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`);
}

/**
 * Write a file so that a reader sees the old content or the new, never a half: written aside, synced, renamed.
 * On any error the temporary file is removed and `path` is as it was.
 * @param like whose mode and owner it gets
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array, like?: Pick<Stats, 'mode' | 'uid' | 'gid'>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = besides(path);
  try {
    const handle = await open(aside, 'wx', like === undefined ? 0o644 : 0o600);
    try {
      if (like) {
        // Who may not give files away keeps them.
        await handle.chown(like.uid, like.gid).catch(() => {});
        await handle.chmod(like.mode & 0o7777);
      }
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

/** Have the disk take the names of a folder. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Let everybody read a file, and have the disk take it. */
export async function settleFile(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.chmod(0o644);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What is at a path; undefined where nothing is, or where a file stands in the way to it. */
export async function statOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: NodeJS.ErrnoException) =>
    ['ENOENT', 'ENOTDIR'].includes(error.code ?? '') ? undefined : Promise.reject(error),
  );
}

/** The value of `read`, or undefined where the file or folder does not exist. */
export async function ifThere<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
