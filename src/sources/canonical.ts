import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { SourceError } from '../errors.ts';
import { besides } from '../util/files.ts';
import type { ArchiveLimits } from './archive-format.ts';
import { type Node, readTree, type Tree, treeIdOf } from './archive-tree.ts';
import { endOfTar, tarHeader, tarPadding } from './tar-write.ts';

/** What {@link writeCanonical} is to make of an archive. */
export interface Wanted {
  /** What to call the archive in errors. */
  name: string;
  /** SHA-256 that the archive file must have: the one that was proved. */
  sha256: string;
  /** Name of the folder at the top of the new archive. */
  top: string;
  /** Take only what is below this folder of the archive; all of it where not given. */
  folder?: string | undefined;
  /** Git tree ids that folders of the archive must have where it has them at all. '' is the archive itself. */
  trees?: Readonly<Record<string, string>> | undefined;
  limits?: ArchiveLimits | undefined;
}

/**
 * Write an archive anew in one canonical form: a plain GNU tar of its folders, files and links, sorted by path, with modes 0755
 * and 0644, one owner and one time. The same tree gives the same bytes, whatever archive it came from. Only this form reaches a
 * build container, so no second reader decides what the input means.
 *
 * @param path the archive: plain, or compressed with gzip, bzip2 or xz
 * @param to the file to write. It does not exist yet
 * @returns its size in bytes
 * @throws SourceError STORE_CORRUPT where the archive has not the given SHA-256 or trees; what {@link readTree} throws.
 *   Nothing is left then
 */
export async function writeCanonical(path: string, to: string, wanted: Wanted): Promise<number> {
  const spool = besides(to);
  let contents: FileHandle | undefined;
  let out: FileHandle | undefined;
  try {
    contents = await open(spool, 'wx+');
    const tree = await provedTree(path, contents, wanted);
    out = await open(to, 'wx');
    return await writeTree(tree, contents, out, wanted);
  } catch (error) {
    await out?.close();
    out = undefined;
    await rm(to, { force: true });
    throw error;
  } finally {
    await out?.close();
    await contents?.close();
    await rm(spool, { force: true });
  }
}

/** Read the archive, put the content of its files into `contents`, and hold it against what is expected of it. */
async function provedTree(path: string, contents: FileHandle, { name, sha256, trees = {}, limits }: Wanted): Promise<Tree> {
  const hash = createHash('sha256');
  const append = gathered(contents);
  const tree = await readTree(path, name, { limits, onRead: (chunk) => hash.update(chunk), onContent: append.write });
  await append.end();
  const got = hash.digest('hex');
  const differs = (expected: string, has: string) =>
    new SourceError('STORE_CORRUPT', `${name} is not what was proved`, {
      expected,
      got: has,
      hint: 'run again to fetch it anew, and look after that disk',
    });
  if (got !== sha256) throw differs(`sha256 ${sha256}`, `sha256 ${got}`);
  for (const [folder, expected] of Object.entries(trees)) {
    const id = treeIdOf(tree.nodes, folder);
    if (id !== undefined && id !== expected)
      throw new SourceError(
        'SOURCE_MISMATCH',
        `${folder || 'the content'} of ${name} is not the tree of the commit that the catalog pins`,
        {
          expected: `tree ${expected}`,
          got: `tree ${id}`,
          hint: 'use another origin for it',
        },
      );
  }
  return tree;
}

/** Writes small pieces as large ones. */
function gathered(file: FileHandle): { write: (chunk: Buffer) => Promise<void>; end: () => Promise<void> } {
  let pieces: Buffer[] = [];
  let size = 0;
  const end = async () => {
    const whole = Buffer.concat(pieces);
    pieces = [];
    size = 0;
    for (let done = 0; done < whole.length; ) done += (await file.write(whole, done)).bytesWritten;
  };
  const write = async (chunk: Buffer) => {
    pieces.push(chunk);
    size += chunk.length;
    if (size >= 1 << 20) await end();
  };
  return { write, end };
}

async function writeTree({ nodes }: Tree, contents: FileHandle, out: FileHandle, { name, top, folder = '' }: Wanted): Promise<number> {
  const prefix = folder === '' ? '' : `${folder}/`;
  const paths = [...nodes.keys()].filter((path) => path.startsWith(prefix));
  if (paths.length === 0)
    throw new SourceError('SOURCE_ARCHIVE_BROKEN', `${name} has no ${folder || 'content'}`, { hint: 'use another origin' });
  const sorted = paths
    .map((path) => ({ path, key: Buffer.from(path) }))
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({ path }) => path);
  let size = 0;
  const output = gathered(out);
  const write = async (chunk: Buffer) => {
    size += chunk.length;
    await output.write(chunk);
  };
  await write(tarHeader({ name: `${top}/`, kind: 'folder' }));
  for (const path of sorted) {
    const node = nodes.get(path) as Node;
    const entry = `${top}/${path.slice(prefix.length)}`;
    if (node.kind === 'folder') await write(tarHeader({ name: `${entry}/`, kind: 'folder' }));
    else if (node.kind === 'link') await write(tarHeader({ name: entry, kind: 'link', target: node.target }));
    else {
      await write(tarHeader({ name: entry, kind: 'file', executable: node.executable, size: node.size }));
      for (let done = 0; done < node.size; ) {
        const piece = Buffer.allocUnsafe(Math.min(node.size - done, 1 << 20));
        const { bytesRead } = await contents.read(piece, 0, piece.length, node.at + done);
        if (bytesRead === 0) throw new Error(`the content of ${path} is gone`);
        await write(piece.subarray(0, bytesRead));
        done += bytesRead;
      }
      await write(tarPadding(node.size));
    }
  }
  await write(endOfTar());
  await output.end();
  return size;
}
