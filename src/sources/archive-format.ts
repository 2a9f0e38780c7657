import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { SourceError } from '../errors.ts';

/** How a tarball is compressed. */
export type Format = 'tar' | 'gzip' | 'bzip2' | 'xz';

/** What an archive may hold at the most. */
export interface ArchiveLimits {
  /** Bytes of the unpacked tar. */
  unpacked: number;
  /** Entries, and folders that their names imply. */
  entries: number;
  /** Bytes of all names and links' targets. */
  names: number;
  /** Bytes of a name or of a link's target: Linux's PATH_MAX. */
  name: number;
}

/** More than twice the largest known sources: a build image has about 700 MB, Xen with its QEMU about 300 MB in 20,000 files. */
export const ARCHIVE_LIMITS: ArchiveLimits = { unpacked: 2 ** 31, entries: 100_000, names: 2 ** 24, name: 4096 };

/** `xz -9` needs 65 MiB to unpack; what asks for more would take the machine's memory. */
const XZ_MEMORY = '100MiB';

const bytes = (hex: string) => Buffer.from(hex, 'hex');

/** First bytes of what is read: RFC 1952, bzip2, the xz file format 1.1. */
const READ: [Buffer, Format][] = [
  [bytes('1f8b'), 'gzip'],
  [Buffer.from('BZh'), 'bzip2'],
  [bytes('fd377a585a00'), 'xz'],
];

/** First bytes of what people have in place of a tarball, and what it is. */
const OTHERS: [Buffer, string][] = [
  [Buffer.from('PK\x03\x04'), 'a zip archive'],
  [bytes('28b52ffd'), 'compressed with zstd'],
  [Buffer.from('LZIP'), 'compressed with lzip'],
  [bytes('5d0000'), 'compressed with lzma'],
  [bytes('1f9d'), 'compressed with compress (.Z)'],
  [bytes('377abcaf271c'), 'a 7z archive'],
  [Buffer.from('Rar!'), 'a RAR archive'],
  [Buffer.from('!<arch>\n'), 'an ar archive, such as a Debian package'],
  [Buffer.from('070701'), 'a cpio archive'],
  [Buffer.from('version https://git-lfs'), 'a Git LFS pointer, not the file itself'],
  [Buffer.from('<'), 'an HTML or XML page'],
];

/** The compression of a tarball by its first bytes; anything that is not known counts as plain. */
export function sniffFormat(head: Uint8Array): Format {
  return READ.find(([magic]) => magic.equals(head.subarray(0, magic.length)))?.[1] ?? 'tar';
}

/** What a file is that cannot be read as a tarball, by its first bytes; undefined where it may be one. */
export function otherFormat(head: Uint8Array): string | undefined {
  // A tar may begin with any name, so one of these first bytes counts only where the first header has no checksum.
  return OTHERS.find(([magic]) => magic.equals(head.subarray(0, magic.length)))?.[1];
}

/** The first 512 bytes of a file, or all of a shorter one. */
export async function headOf(path: string): Promise<Buffer> {
  const handle = await open(path, 'r');
  try {
    const head = Buffer.alloc(512);
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    return head.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/**
 * The unpacked bytes of a tarball as a stream, together with a promise for the decompressor's end.
 * Node reads gzip, also of several members. The host's own programs read bzip2 and xz.
 *
 * @param limit bytes after which unpacking is given up
 * @param name what to call the tarball in errors
 * @param onRead gets the bytes of the file itself, as they are read
 * @returns the stream fails with SourceError SOURCE_TOO_LARGE beyond the limit. `done` rejects with SourceError
 *   SOURCE_ARCHIVE_BROKEN where the program is missing or needs too much memory, and with a plain error for damage
 */
export function decompressed(
  path: string,
  format: Format,
  { limit = ARCHIVE_LIMITS.unpacked, name = path, onRead }: { limit?: number; name?: string; onRead?: (chunk: Buffer) => void } = {},
): { stream: Readable; done: Promise<void> } {
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  if (onRead) file.on('data', (chunk) => onRead(chunk as Buffer));
  const meter = limited(limit, name);
  if (format === 'tar') return { stream: meter, done: settled(pipeline(file, meter)) };
  if (format === 'gzip') return { stream: meter, done: settled(pipeline(file, createGunzip(), meter)) };
  const tool = format === 'xz' ? 'xz' : 'bzip2';
  const args = format === 'xz' ? ['-dc', '-T1', `--memlimit-decompress=${XZ_MEMORY}`] : ['-dc'];
  const child = spawn(tool, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env['PATH'], LC_ALL: 'C' } });
  let complaint = '';
  let stopped = false;
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk.toString()}`.slice(0, 2000);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', (error) =>
      reject(
        new SourceError('SOURCE_ARCHIVE_BROKEN', `${tool} cannot be run: ${error.message}`, {
          hint: `install ${tool} (apt-get install ${tool === 'xz' ? 'xz-utils' : 'bzip2'})`,
        }),
      ),
    );
    child.on('close', (code) => {
      // Where the reader has given up, its reason counts, not the end of the program that it stopped.
      if (code === 0 || (code === null && stopped)) resolve();
      else if (/Memory usage limit reached/.test(complaint))
        reject(
          new SourceError('SOURCE_TOO_LARGE', `${name} needs too much memory to unpack`, {
            expected: `at most ${XZ_MEMORY}`,
            got: complaint.trim().replace(/^xz: \(stdin\): /, ''),
            hint: 'compress it again with xz -9 or less',
          }),
        );
      else reject(new Error(complaint.trim() || `${tool} ended with ${code}`));
    });
  });
  ended.catch((error) => meter.destroy(error));
  file.on('error', (error) => meter.destroy(error)).pipe(child.stdin);
  child.stdin.on('error', () => {});
  const flowed = settled(pipeline(child.stdout, meter));
  meter.on('close', () => {
    if (meter.writableFinished) return;
    // Nobody reads any more: the program would wait for ever.
    stopped = true;
    file.destroy();
    child.kill();
  });
  return { stream: meter, done: settled(ended.then(() => flowed)) };
}

/** A promise whose failure is reported where it is awaited, and nowhere else. */
function settled(promise: Promise<void>): Promise<void> {
  promise.catch(() => {});
  return promise;
}

/** Hands bytes on, and fails beyond a limit. */
function limited(limit: number, name: string): Transform {
  let size = 0;
  return new Transform({
    highWaterMark: 1 << 18,
    transform(chunk: Buffer, _encoding, callback) {
      size += chunk.length;
      if (size <= limit) callback(null, chunk);
      else
        callback(
          new SourceError('SOURCE_TOO_LARGE', `${name} unpacks to more than is allowed`, {
            expected: `at most ${limit} bytes`,
            hint: 'use another origin',
          }),
        );
    },
  });
}
