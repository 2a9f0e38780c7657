import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Extract, extract } from 'tar-stream';
import { SourceError } from '../errors.ts';
import { typeOf, unsafeEntry, unsafeGlobals } from './archive-entry.ts';
import { ARCHIVE_LIMITS, type ArchiveLimits, decompressed, type Format, headOf, otherFormat, sniffFormat } from './archive-format.ts';
import { unsafeLinks } from './archive-links.ts';
import { type TreeFile, treeId } from './git-tree.ts';

/** What an archive has under one path. */
export type Node =
  | { kind: 'folder' }
  /** A symbolic link. */
  | { kind: 'link'; target: string }
  | {
      kind: 'file';
      executable: boolean /** Git's blob id. */;
      blob: string;
      size: number /** Where its content begins, in bytes, in all content that `onContent` got. */;
      at: number;
    };

/** What an archive unpacks to, below its single top folder. */
export interface Tree {
  format: Format;
  /** The single folder at the top. */
  top: string;
  /** Entries that were read, before those that replace others. */
  entries: number;
  /** By path below the top folder. */
  nodes: Map<string, Node>;
}

/** How an archive is read. */
export interface ReadOptions {
  limits?: ArchiveLimits | undefined;
  /** Gets the bytes of the archive file itself, as they are read. */
  onRead?: (chunk: Buffer) => void;
  /** Gets the content of files, piece by piece, with the place that the file's node names. Reading waits for it. */
  onContent?: (chunk: Buffer, file: { path: string; at: number }) => Promise<void> | void;
}

/**
 * Read a tarball to its end. This is the only reader of source archives: what it finds is what is proved and what is unpacked.
 * It reads V7, ustar, GNU and pax tar, plain or compressed with gzip, bzip2 or xz. A later entry replaces an earlier one with
 * the same path. A hard link is another file with the same content.
 *
 * @param path the archive on disk
 * @param name what to call it in errors
 * @throws SourceError SOURCE_ARCHIVE_UNSAFE for names or links that leave the tree and for what is neither file, folder nor link;
 *   SOURCE_ARCHIVE_BROKEN for another kind of file, a cut or damaged archive, or one without a single top folder;
 *   SOURCE_TOO_LARGE beyond the limits
 */
export async function readTree(path: string, name: string, options: ReadOptions = {}): Promise<Tree> {
  const { limits = ARCHIVE_LIMITS } = options;
  const head = await headOf(path);
  const format = sniffFormat(head);
  const reader = new Reader(name, limits, options.onContent);
  const parser = extract({ allowUnknownFormat: true } as object);
  const { stream, done } = decompressed(path, format, {
    limit: limits.unpacked,
    name,
    ...(options.onRead ? { onRead: options.onRead } : {}),
  });
  const piped = pipeline(stream, parser);
  piped.catch(() => {});
  try {
    for await (const entry of parser) {
      reader.demandSafe(unsafeGlobals(globalsOf(parser)));
      await reader.take(entry.header, entry as AsyncIterable<Buffer>);
    }
    await piped;
    await done;
  } catch (error) {
    parser.destroy();
    stream.destroy();
    if (error instanceof SourceError) throw error;
    // The decompressor's own words are nearer to the cause than those of who reads from it.
    const cause = await done.then(
      () => error,
      (reason: unknown) => reason,
    );
    if (cause instanceof SourceError) throw cause;
    throw reader.broken(otherFormat(head) ?? (cause as Error).message, cause);
  }
  return reader.tree(format);
}

/** The present global pax header. tar-stream has no event for it, and keeps the last one here. */
function globalsOf(parser: Extract): Record<string, string> {
  return (parser as unknown as { _paxGlobal: Record<string, string> | null })._paxGlobal ?? {};
}

/** Puts entries together to a tree. */
class Reader {
  private readonly name: string;
  private readonly limits: ArchiveLimits;
  private readonly onContent: ReadOptions['onContent'];
  private readonly nodes = new Map<string, Node>();
  /** Folders that the paths of entries name. */
  private readonly folders = new Set<string>();
  private top: string | undefined;
  private entries = 0;
  /** Bytes of all names. */
  private named = 0;
  /** Bytes of content that `onContent` has got. */
  private written = 0;

  constructor(name: string, limits: ArchiveLimits, onContent: ReadOptions['onContent']) {
    this.name = name;
    this.limits = limits;
    this.onContent = onContent;
  }

  broken(why: string, cause?: unknown): SourceError {
    return new SourceError('SOURCE_ARCHIVE_BROKEN', `${this.name} is not a whole tarball: ${why}`, {
      hint: 'fetch it again, or use another origin',
      cause,
    });
  }

  demandSafe(unsafe: string | undefined): void {
    if (unsafe === undefined) return;
    throw new SourceError('SOURCE_ARCHIVE_UNSAFE', `${this.name} has ${unsafe}`, { hint: 'do not use this archive; take another origin' });
  }

  private demandSmall(what: string, got: number, most: number): void {
    if (got <= most) return;
    throw new SourceError('SOURCE_TOO_LARGE', `${this.name} has too many ${what}`, {
      expected: `at most ${most}`,
      hint: 'use another origin',
    });
  }

  async take(
    header: { name: string; type?: string | null; size?: number; mode?: number; linkname?: string | null; pax?: unknown },
    content: AsyncIterable<Buffer>,
  ): Promise<void> {
    this.entries++;
    this.demandSmall('entries', this.entries, this.limits.entries);
    this.named += header.name.length + (header.linkname?.length ?? 0);
    this.demandSmall('bytes of names', this.named, this.limits.names);
    this.demandSafe(unsafeEntry({ ...header, type: header.type }, this.limits.name));
    const inside = posix.normalize(header.name).replace(/\/$/, '');
    const type = typeOf({ name: header.name, type: header.type });
    if (inside === '.') return;
    const [first = '', ...rest] = inside.split('/');
    this.top ??= first;
    if (first !== this.top) throw this.broken(`it has more than one folder at its top (${this.top}, ${first})`);
    const below = rest.join('/');
    if (below === '') {
      if (type !== 'directory') throw this.broken(`it has ${first} at its top, which is not a folder`);
      return;
    }
    this.put(below, await this.nodeOf(below, type, header, content));
  }

  private async nodeOf(
    below: string,
    type: string | undefined,
    { name, linkname, mode = 0, size = 0 }: { name: string; linkname?: string | null; mode?: number; size?: number },
    content: AsyncIterable<Buffer>,
  ): Promise<Node> {
    if (type === 'directory') return { kind: 'folder' };
    if (type === 'symlink') return { kind: 'link', target: linkname ?? '' };
    if (type === 'link') {
      const original = this.nodes.get(
        posix
          .normalize(linkname ?? '')
          .split('/')
          .slice(1)
          .join('/'),
      );
      if (!original || original.kind === 'folder') this.demandSafe(`a hard link to what does not come before it: ${name} -> ${linkname}`);
      return original as Node;
    }
    const hash = createHash('sha1').update(`blob ${size}\0`);
    const at = this.written;
    for await (const chunk of content) {
      hash.update(chunk);
      this.written += chunk.length;
      await this.onContent?.(chunk, { path: below, at });
    }
    return { kind: 'file', executable: (mode & 0o100) !== 0, blob: hash.digest('hex'), size, at };
  }

  private put(below: string, node: Node): void {
    const there = this.nodes.get(below);
    if (there && (there.kind === 'folder') !== (node.kind === 'folder'))
      throw this.broken(`it has ${below} as a folder and as something else`);
    this.nodes.set(below, node);
    for (let slash = below.lastIndexOf('/'); slash > 0; slash = below.lastIndexOf('/', slash - 1)) {
      const folder = below.slice(0, slash);
      if (this.folders.has(folder)) break;
      this.folders.add(folder);
    }
    this.demandSmall('folders', this.folders.size, this.limits.entries);
  }

  tree(format: Format): Tree {
    if (this.entries === 0 || this.top === undefined) throw this.broken('it is empty');
    const { top, nodes, entries } = this;
    const links = new Map<string, string>();
    for (const [path, node] of nodes) if (node.kind === 'link') links.set(`${top}/${path}`, node.target);
    this.demandSafe(
      unsafeLinks(
        [...nodes.keys()].map((path) => `${top}/${path}`),
        links,
      ),
    );
    for (const folder of this.folders) {
      const node = nodes.get(folder);
      if (node !== undefined && node.kind !== 'folder') throw this.broken(`it has ${folder} as a folder and as something else`);
      nodes.set(folder, { kind: 'folder' });
    }
    return { format, top, entries, nodes };
  }
}

/**
 * Git's tree id of the files and links of a tree.
 * @param folder count only what is below this folder
 * @returns undefined where there is nothing
 */
export function treeIdOf(nodes: ReadonlyMap<string, Node>, folder = ''): string | undefined {
  const files: TreeFile[] = [];
  const prefix = folder === '' ? '' : `${folder}/`;
  for (const [full, node] of nodes) {
    if (!full.startsWith(prefix) || node.kind === 'folder') continue;
    const path = full.slice(prefix.length);
    if (node.kind === 'file') files.push({ path, mode: node.executable ? '100755' : '100644', blob: node.blob });
    else {
      const target = Buffer.from(node.target);
      files.push({ path, mode: '120000', blob: createHash('sha1').update(`blob ${target.length}\0`).update(target).digest('hex') });
    }
  }
  return files.length === 0 ? undefined : treeId(files);
}
