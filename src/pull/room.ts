import { isDiskFull, SourceError } from '../errors.ts';

/** A full disk as a clear error; others as they are. */
export function noRoom(error: unknown, folder: string): unknown {
  if (!isDiskFull(error)) return error;
  return new SourceError('STORE_DISK_FULL', `no room left in ${folder}; what was there is untouched`, {
    hint: 'make room there, and run it again',
    cause: error,
  });
}
