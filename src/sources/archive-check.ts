import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type Extract, extract } from 'tar-stream';
import { SourceError } from '../errors.ts';
import { unsafeLinks } from './archive-links.ts';
import { type TreeFile, treeId } from './git-tree.ts';

/** How a tarball is compressed. */
export type Format = 'tar' | 'gzip' | 'bzip2' | 'xz';

/** The compression of a tarball by its first bytes (RFC 1952, bzip2, xz file format 1.1); anything else counts as plain. */
export function sniffFormat(head: Uint8Array): Format {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head[0] === 0x42 && head[1] === 0x5a && head[2] === 0x68) return 'bzip2';
  if (Buffer.from(head.subarray(0, 6)).equals(Buffer.from('fd377a585a00', 'hex'))) return 'xz';
  return 'tar';
}

/** The parts of a tar entry that decide whether it is safe. */
export interface Entry {
  name: string;
  type: string | null | undefined;
  linkname?: string | null | undefined;
  size?: number | undefined;
  /** The records of its own pax header. */
  pax?: unknown;
}

/**
 * Why an entry must not be unpacked; undefined where it may. It may be a plain file, a folder, or a link whose
 * target stays below the top folder (its name is taken off in unpacking); its name is relative and has no `..`. Pure.
 */
export function unsafeEntry(entry: Entry): string | undefined {
  const { name, type } = entry;
  if (name === '' || name.includes('\0')) return 'an entry without a proper name';
  if (name.startsWith('/')) return `an absolute name: ${name}`;
  if (name.split('/').includes('..')) return `a name with "..": ${name}`;
  if (type !== 'directory' && posix.normalize(`${name}/`) === './') return 'an entry without a proper name';
  // A file to tar-stream, a folder to tar.
  if (type !== 'directory' && name.endsWith('/')) return `a ${type ?? 'special file'} with the name of a folder: ${name}`;
  // tar would unpack another file, under another name, than the one that is read here.
  if (Object.keys(entry.pax ?? {}).some((key) => key.startsWith('GNU.sparse.'))) return `a sparse file: ${name}`;
  // tar and tar-stream do not agree on whether bytes follow such a header, and so on where the next one is.
  if (type !== 'file' && type !== 'contiguous-file' && type !== 'pax-global-header' && (entry.size ?? 0) !== 0)
    return `a ${type ?? 'special file'} with content: ${name}`;
  if (type === 'symlink' || type === 'link') {
    const target = entry.linkname ?? '';
    if (target === '' || target.startsWith('/')) return `a link that leaves the tree: ${name} -> ${target}`;
    // A hard link names an entry, as that is named itself; a symbolic link leads on from its folder below the top.
    const from = type === 'symlink' ? posix.dirname(posix.normalize(name).split('/').slice(1).join('/')) : '';
    const reached = type === 'symlink' ? posix.normalize(posix.join(from, target)) : target;
    if (reached.split('/').includes('..')) return `a link that leaves the tree: ${name} -> ${target}`;
    return undefined;
  }
  if (type === 'file' || type === 'contiguous-file' || type === 'directory' || type === 'pax-global-header') return undefined;
  return `${name} is a ${type ?? 'special file'}`;
}

/**
 * Why a global pax header makes an archive unsafe: GNU tar gives its names to every entry after it, tar-stream only to
 * those that have a pax header of their own, so what is checked would not be what is unpacked.
 */
function unsafeGlobals(parser: Extract): string | undefined {
  // tar-stream has no event for a global header; it keeps the last one here.
  const globals = (parser as unknown as { _paxGlobal: Record<string, string> | null })._paxGlobal ?? {};
  const key = Object.keys(globals).find((name) => /^(path|linkpath|size|GNU\.sparse\..*)$/.test(name));
  return key === undefined ? undefined : `a global header that sets the ${key} of every entry`;
}

/** What a tarball turned out to be. */
export interface ArchiveFacts {
  format: Format;
  /** The single folder at the top. */
  top: string;
  entries: number;
  /** Git's tree id of the content below the top folder. */
  tree: string;
}

/**
 * The unpacked bytes of a tarball as a stream, together with a promise for the decompressor's end.
 * gzip is read by Node; bzip2 and xz by the host's own programs.
 */
export function decompressed(path: string, format: Format): { stream: Readable; done: Promise<void> } {
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  if (format === 'tar') return { stream: file, done: Promise.resolve() };
  if (format === 'gzip') {
    const gunzip = createGunzip();
    return { stream: gunzip, done: pipeline(file, gunzip).catch(() => {}) };
  }
  const tool = format === 'xz' ? 'xz' : 'bzip2';
  const child = spawn(tool, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  const done = new Promise<void>((resolve, reject) => {
    child.on('error', (error) =>
      reject(
        new SourceError('SOURCE_ARCHIVE_BROKEN', `${tool} cannot be run: ${error.message}`, {
          hint: `install ${tool} (apt-get install ${tool === 'xz' ? 'xz-utils' : 'bzip2'})`,
        }),
      ),
    );
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(complaint.trim() || `${tool} ended with ${code}`));
    });
  });
  done.catch((error) => child.stdout.destroy(error));
  file.on('error', (error) => child.stdout.destroy(error)).pipe(child.stdin);
  child.stdin.on('error', () => {});
  return { stream: child.stdout, done };
}

/**
 * Read a tarball to its end and check every entry before anything is unpacked anywhere.
 * @param path the tarball: plain, or compressed with gzip, bzip2 or xz
 * @param name what to call it in errors
 * @throws SourceError SOURCE_ARCHIVE_UNSAFE for names or links that leave the tree and for devices,
 *   SOURCE_ARCHIVE_BROKEN for a cut or damaged archive or one without a single top folder
 */
export async function checkArchive(path: string, name: string): Promise<ArchiveFacts> {
  const handle = await open(path, 'r');
  const head = Buffer.alloc(8);
  await handle.read(head, 0, 8, 0).finally(() => handle.close());
  const format = sniffFormat(head);
  const broken = (why: string, cause?: unknown) =>
    new SourceError('SOURCE_ARCHIVE_BROKEN', `${name} is not a whole tarball: ${why}`, {
      hint: 'fetch it again, or use another origin',
      cause,
    });
  let top: string | undefined;
  let entries = 0;
  let failure: SourceError | undefined;
  const files = new Map<string, TreeFile>();
  const names: string[] = [];
  const links = new Map<string, string>();
  const unsafeError = (why: string) =>
    new SourceError('SOURCE_ARCHIVE_UNSAFE', `${name} has ${why}`, { hint: 'do not use this archive; take another origin' });
  const parser = extract();
  const { stream, done } = decompressed(path, format);
  parser.on('entry', (header, content, next) => {
    const fail = (error: SourceError) => {
      failure = error;
      content.resume();
      parser.destroy(error);
    };
    // The parser hands its own end on to the entry; it is told by the parser.
    content.on('error', () => {});
    const unsafe = unsafeEntry(header) ?? unsafeGlobals(parser);
    if (unsafe !== undefined) {
      fail(unsafeError(unsafe));
      return;
    }
    const type = header.type as string | null | undefined;
    if (type === 'pax-global-header') {
      content.on('end', next).resume();
      return;
    }
    entries++;
    const inside = posix.normalize(header.name).replace(/\/$/, '');
    const [first = '', ...rest] = inside.split('/');
    if (inside !== '.') top ??= first;
    if (inside !== '.' && first !== top) {
      fail(broken(`it has more than one folder at its top (${top}, ${first})`));
      return;
    }
    const below = rest.join('/');
    if (below === '' && type !== 'directory') {
      fail(broken(`it has ${first} at its top, which is not a folder`));
      return;
    }
    names.push(inside);
    if (type === 'symlink') {
      links.set(inside, header.linkname ?? '');
      const target = Buffer.from(header.linkname ?? '');
      files.set(below, {
        path: below,
        mode: '120000',
        blob: createHash('sha1').update(`blob ${target.length}\0`).update(target).digest('hex'),
      });
    } else if (type === 'link') {
      const original = files.get(
        posix
          .normalize(header.linkname ?? '')
          .split('/')
          .slice(1)
          .join('/'),
      );
      // tar might find it all the same, by way of a link, and the tree id would not know.
      if (!original) {
        fail(unsafeError(`a hard link to what does not come before it: ${header.name} -> ${header.linkname}`));
        return;
      }
      files.set(below, { ...original, path: below });
    } else if (type !== 'directory') {
      const hash = createHash('sha1').update(`blob ${header.size ?? 0}\0`);
      content.on('data', (chunk) => hash.update(chunk as Buffer));
      content.on('end', () => {
        files.set(below, { path: below, mode: ((header.mode ?? 0) & 0o100) !== 0 ? '100755' : '100644', blob: hash.digest('hex') });
      });
    }
    content.on('end', next).resume();
  });
  try {
    await pipeline(stream, parser);
    await done;
  } catch (error) {
    if (failure) throw failure;
    await done.catch((reason) => {
      if (reason instanceof SourceError) throw reason;
    });
    throw broken((error as Error).message, error);
  }
  if (failure) throw failure;
  if (entries === 0 || top === undefined) throw broken('it is empty');
  const unsafe = unsafeLinks(names, links);
  if (unsafe !== undefined) throw unsafeError(unsafe);
  return { format, top, entries, tree: treeId(files.values()) };
}
