import type { ArchiveLimits, Format } from './archive-format.ts';
import { readTree, treeIdOf } from './archive-tree.ts';
import { treeId } from './git-tree.ts';

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
 * Read a tarball to its end and check every entry before anything is unpacked anywhere.
 * @param path the tarball: plain, or compressed with gzip, bzip2 or xz
 * @param name what to call it in errors
 * @throws what {@link readTree} throws
 */
export async function checkArchive(path: string, name: string, limits?: ArchiveLimits): Promise<ArchiveFacts> {
  const { format, top, entries, nodes } = await readTree(path, name, { limits });
  return { format, top, entries, tree: treeIdOf(nodes) ?? treeId([]) };
}
