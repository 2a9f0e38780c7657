import type { Reads, SourceRef } from '../catalog/types.ts';
import type { VersionRange } from '../catalog/version.ts';

/** What boots the guest: GRUB 0.97 from Xen, or GRUB 2. */
export type Loader = 'pv-grub' | 'pvgrub2';
/** The width of an image, in Xen's own words. */
export type Arch = 'x86_64' | 'x86_32' | 'x86_32_pvh';

/** One counted substitution: `find` is literal text and must stand exactly `count` times in `file`. */
export interface Substitution {
  file: string;
  find: string;
  replace: string;
  count: number;
}

/** A file that an edit adds; it must not be there before. */
export interface NewFile {
  file: string;
  content: string;
  executable?: boolean;
}

/** One change to unpacked sources, as a file of `edits/<loader>/` has it. */
export interface Edit extends VersionRange {
  id: string;
  /** What it changes. */
  what: string;
  /** What fails without it. */
  why: string;
  /** The source it changes; its files are relative to that source's top folder. */
  source: string;
  arches?: Arch[];
  /** The upstream commit that mended the same, if there is one. */
  upstream?: string;
  substitutions?: Substitution[];
  create?: NewFile[];
  /**
   * Where the edit was last seen to match: its own digest then, and for the first and the last release of its
   * range the SHA-256 of each file it changes. A test fails when the edit has changed since (docs/edits.md).
   */
  seen?: { edit: string; in: Record<string, Record<string, string>> };
}

/** Where a source goes in the cell's tree: unpacked as a folder, or as a tarball under a name that a Makefile expects. */
export interface Placement {
  source: string;
  /** Folder below the tree that takes the content of the source's top folder. */
  unpack?: string;
  /** File below the tree that takes the tarball itself, compressed as its name says. */
  as?: string;
  /** What is left out, as tar's patterns below the source's top folder. With `as`, each must match something. */
  without?: string[];
}

/** One group of commands, run by `sh -eu` in the tree. */
export interface Step {
  /** What a progress display calls it. */
  phase: string;
  run: string;
  /** It makes the cell's toolchain: steps of one recipe that follow each other (see {@link Toolchain}). */
  toolchain?: true;
}

/**
 * The part of a build that many cells have in common: what its steps leave may be taken from an earlier cell that read
 * just the same. Paths are relative to the cell's tree.
 */
export interface Toolchain {
  /** Prints the commands that the steps will run, with all variables filled in, and runs none of them. */
  commands: string;
  /** Sources that only these steps unpack. */
  sources: string[];
  /** Folders that the steps make and the rest of the build uses. */
  keep: string[];
  /** Folders that the steps make and of which the rest of the build only wants to see that they are there. */
  stubs: string[];
  /** Folders with headers that the steps may read. */
  headers: string[];
  /** Folder whose plain files are read where the commands name them: patches and the like. */
  files: string;
}

/** A file that a build leaves. */
export interface RecipeOutput {
  /** Path below the cell's `out` folder. */
  file: string;
  role: 'image' | 'debug';
}

/** Everything a loader does for one cell, as data. */
export interface Recipe {
  sources: SourceRef[];
  placements: Placement[];
  edits: Edit[];
  env: Record<string, string>;
  /** Files put beside the tree, by name below the cell's `in` folder. */
  files: Record<string, string>;
  steps: Step[];
  /** What the steps marked so leave, where that can be shared. */
  toolchain?: Toolchain;
  outputs: RecipeOutput[];
  reads: Reads;
  warnings: string[];
}
