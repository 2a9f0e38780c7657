import { basename, dirname, posix } from 'node:path';
import { canonicalJson, sha256 } from '../util/hash.ts';

/**
 * When the toolchain that one cell has made may be used by another: when all that its steps read is the same, whatever
 * the release is called. Two steps, as a compiler cache with a direct mode has them (ccache(1), "The direct mode"):
 * a first key over what is known before, which finds candidates, and for each of these the files that were read when
 * it was made. Pure.
 */

/** SHA-256 of files of a cell's tree that a toolchain might read, by path below the tree. */
export type Listing = ReadonlyMap<string, string>;

/** What a toolchain read of the tree when it was made. */
export interface Reads {
  /** SHA-256 by path. */
  files: Record<string, string>;
  /** For each base name of a file read, all paths of the listing that have it: one more might be found before it. */
  names: Record<string, string[]>;
}

/** Everything that is known of a toolchain before it is made. */
export interface ToolchainInputs {
  /** The build image's manifest. */
  image: string;
  env: Record<string, string>;
  /** What the steps will run, as `make` prints it. */
  commands: string;
  /** The steps themselves. */
  steps: string[];
  /** Files beside the tree. */
  files: Record<string, string>;
  /** SHA-256 of the tarballs that the steps unpack, by source. */
  tarballs: Record<string, string>;
  /** SHA-256 of every source of the cell that nothing proves: what those leave is only for cells that trust them, too. */
  unpinned: Record<string, string>;
}

/** The first key: 64 lower-case hex digits. */
export function toolchainKey(inputs: ToolchainInputs): string {
  return sha256(canonicalJson({ schema: 1, ...inputs }));
}

/** Read what `sha256sum` prints; lines of names that it had to escape are left out. */
export function parseListing(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^([0-9a-f]{64}) [ *](.+)$/gm)].map(([, digest, path]) => [path as string, digest as string]));
}

/**
 * Read what the compilers have written: for each a line `@FOLDER` that it worked in, then make rules whose
 * prerequisites are the files that it read (GCC's SUNPRO_DEPENDENCIES, "Environment Variables Affecting GCC").
 *
 * @param tree absolute folder of the tree
 * @returns paths below the tree, sorted, each once; files outside of it belong to the build image
 */
export function parseReads(text: string, tree: string): string[] {
  const paths = new Set<string>();
  let folder = tree;
  for (const line of text.replaceAll('\\\n', ' ').split('\n')) {
    if (line.startsWith('@')) folder = line.slice(1);
    const rule = /^\S+:(\s.*)$/.exec(line);
    for (const name of rule?.[1]?.split(/\s+/).filter(Boolean) ?? []) {
      const path = posix.resolve(folder, name);
      if (path.startsWith(`${tree}/`)) paths.add(path.slice(tree.length + 1));
    }
  }
  return [...paths].sort();
}

/** Whether a path is one of the folders, or in one. */
function within(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path === folder || path.startsWith(`${folder}/`));
}

/** Plain files of a folder that commands name: as they are, or with `../` from a folder below. */
function named(listing: Listing, commands: string, folder: string): string[] {
  const words = new Set(commands.split(/[\s"'`;&|<>()=]+/).map((word) => word.replace(/^(\.\.\/)+/, '')));
  return [...listing.keys()].filter((path) => dirname(path) === folder && words.has(basename(path)));
}

function namesakes(listing: Listing, bases: ReadonlySet<string>): Record<string, string[]> {
  const found = new Map([...bases].map((base): [string, string[]] => [base, []]));
  for (const path of listing.keys()) found.get(basename(path))?.push(path);
  return Object.fromEntries([...found].map(([base, paths]) => [base, paths.sort()]));
}

/**
 * What a toolchain has read, as a later cell has to have it.
 *
 * @param read paths that the compilers read, see {@link parseReads}
 * @param own folders that the toolchain has made itself: their content follows from the first key and the rest
 * @param folder see `Toolchain.files`
 * @returns undefined where a file was read of which the listing knows nothing: then nobody else may use it
 */
export function readsOf(
  read: readonly string[],
  listing: Listing,
  from: { own: readonly string[]; commands: string; folder: string },
): Reads | undefined {
  const files: Record<string, string> = {};
  const bases = new Set<string>();
  for (const path of read.filter((path) => !within(path, from.own))) {
    const digest = listing.get(path);
    if (digest === undefined) return undefined;
    files[path] = digest;
    bases.add(basename(path));
  }
  for (const path of named(listing, from.commands, from.folder)) files[path] = listing.get(path) as string;
  return { files, names: namesakes(listing, bases) };
}

/** Why a toolchain does not fit a cell: the first thing that it read and that is another one there. Undefined: it fits. */
export function misfit(reads: Reads, listing: Listing, from: { commands: string; folder: string }): string | undefined {
  const changed = Object.entries(reads.files).find(([path, digest]) => listing.get(path) !== digest);
  if (changed) return changed[0];
  const added = named(listing, from.commands, from.folder).find((path) => reads.files[path] === undefined);
  if (added !== undefined) return added;
  const now = namesakes(listing, new Set(Object.keys(reads.names)));
  return Object.entries(reads.names)
    .filter(([base, paths]) => canonicalJson(paths) !== canonicalJson(now[base]))
    .map(([base]) => base)[0];
}
