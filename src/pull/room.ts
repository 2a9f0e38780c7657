import { isDiskFull, refusalOf, SourceError } from '../errors.ts';

/** Do work with a folder; a full disk there, and what the file system refuses, become clear errors. */
export async function inFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isDiskFull(error)) throw refusalOf(error, folder, ['ENOENT']) ?? error;
    throw new SourceError('STORE_DISK_FULL', `no room left in ${folder}; what was there is untouched`, {
      hint: 'make room there, and run it again',
      cause: error,
    });
  }
}
