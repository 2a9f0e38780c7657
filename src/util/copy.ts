import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { isDiskFull, SourceError } from '../errors.ts';

/**
 * Copy a file's bytes into another one, which gets no other mode or time by that.
 * @throws SourceError STORE_DISK_FULL with the hint
 */
export async function copyFileInto(from: string, to: string, hint: string, signal?: AbortSignal): Promise<void> {
  try {
    await pipeline(createReadStream(from), createWriteStream(to), signal ? { signal } : {});
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw new SourceError('STORE_DISK_FULL', `no room left for ${to}`, { hint, cause: error });
  }
}
