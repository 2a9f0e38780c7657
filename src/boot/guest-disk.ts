import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import type { PutFile } from '../engine/archive.ts';
import type { ContainerSpec } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';

/** How a guest's own disk gets to where it is booted: read in place where the engine is on this machine, else sent. */

/** A disk, and a way to it. */
export interface GuestDiskWay {
  files: PutFile[];
  binds: NonNullable<ContainerSpec['binds']>;
  devices: NonNullable<ContainerSpec['devices']>;
}

/** Pieces that are sent, in bytes: as boot/run/job.sh puts them together. */
const PIECE = 4 * 2 ** 20;

/**
 * A disk that is read in place: the engine is on this machine, and others than root may read the disk. Nothing can be
 * written through it.
 * @returns undefined where it cannot be
 */
export async function diskInPlace(engine: Engine, path: string, n: number): Promise<GuestDiskWay | undefined> {
  if (!engine.endpoint.startsWith('unix:')) return undefined;
  // /dev/vg/disk is a link.
  const place = await realpath(path);
  const found = await stat(place);
  const { mode, gid } = found;
  const at = `/guest-${n}`;
  const byGroup = (mode & 0o040) !== 0 && gid !== 0;
  const byAll = (mode & 0o004) !== 0;
  if (!byAll && !byGroup) return undefined;
  const files = [{ name: `in/guest-${n}`, content: Buffer.from(at) }];
  if (found.isBlockDevice()) return { files, binds: [], devices: [{ path: place, at, group: gid }] };
  return { files, binds: [{ path: place, at, ...(byAll ? {} : { group: gid }) }], devices: [] };
}

/** Numbers of the pieces of a disk that are not all zeros. */
async function pieces(handle: FileHandle, size: number, signal: AbortSignal | undefined): Promise<number[]> {
  const found: number[] = [];
  const buffer = Buffer.alloc(PIECE);
  const zeros = Buffer.alloc(PIECE);
  for (let n = 0; n * PIECE < size; n++) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(PIECE, size - n * PIECE), n * PIECE);
    if (!buffer.subarray(0, bytesRead).equals(zeros.subarray(0, bytesRead))) found.push(n);
  }
  return found;
}

/**
 * A disk that is sent, without what is all zeros.
 * @param size in bytes
 */
export async function diskSent(path: string, size: number, n: number, signal?: AbortSignal): Promise<GuestDiskWay> {
  const handle = await open(path, 'r');
  try {
    const numbers = await pieces(handle, size, signal);
    const files: PutFile[] = numbers.map((piece) => {
      const start = piece * PIECE;
      return { name: `in/guest-${n}/piece-${piece}`, content: { path, start, size: Math.min(PIECE, size - start) } };
    });
    return { files: [{ name: `in/guest-${n}/size`, content: Buffer.from(String(size)) }, ...files], binds: [], devices: [] };
  } finally {
    await handle.close();
  }
}
