import type { VersionRange } from './version.ts';

/** A package file of Debian's source archive: `file` of source package `package`, looked for in these suites in order. */
export interface DebianFile {
  package: string;
  file: string;
  suites: string[];
}

/** One upstream release as `catalog/xen.json` and `catalog/grub2.json` have it. */
export interface Release {
  version: string;
  /** Day of the release, ISO 8601. */
  date: string;
  /** The git commit that the release tag names. */
  commit?: string;
  sha256?: string;
  sha512?: string;
  /** Size of the tarball in bytes. */
  size?: number;
  /** Other published checksums of the tarball. They prove nothing, but one that differs speaks against a tarball. */
  md5?: string;
  sha1?: string;
  blake2b?: string;
  /** Packagers that publish one of the checksums. */
  seenIn?: string[];
  debian?: DebianFile;
  /** What a user of this release should know; goes into the metadata of its images. */
  warnings?: string[];
}

/** The releases that share their first two numbers. */
export interface Series {
  series: string;
  /** Last day with security support upstream, ISO 8601; null where it ended before such days were published. */
  securityUntil: string | null;
}

/** A package that Xen's stubdom build wants beside its own sources. */
export interface External extends VersionRange {
  name: string;
  version: string;
  /** The file name that stubdom's Makefile looks for. */
  file: string;
  /** The folder at the top of the tarball. */
  top: string;
  size: number;
  sha256: string;
  sha512: string;
  /** Parts of names on mirrors. They prove nothing. */
  md5?: string;
  sha1?: string;
  tarballs: string[];
  commit?: string;
  git?: string;
  debian?: DebianFile;
}

/** A place of packagers that keeps files under names derived from a checksum. `url` has place holders, see {@link mirrorUrl}. */
export interface Mirror {
  what: string;
  url: string;
}

/** The catalog: what upstream released and where it is, as data. */
export interface Catalog {
  xen: {
    name: 'xen';
    git: string;
    tarball: string;
    /** Fingerprint of the OpenPGP key that signs tarballs; the signature lies beside each, with .sig at the end. */
    key: string;
    series: Series[];
    releases: Release[];
  };
  miniOs: { name: 'mini-os'; git: string; ranges: (VersionRange & { commit: string | null; tag?: string })[] };
  externals: External[];
  /** Asked for externals after their own places. */
  mirrors?: Mirror[];
  reads: { kernelCompressions: (VersionRange & { names: string[] })[]; fileSystems: (VersionRange & { names: string[] })[] };
  grub2: { name: 'grub2'; tarball: string; releases: Release[] };
  /** SPDX expressions, or words where there is none: by source, and by loader for its images. */
  licences: { sources: Record<string, string>; images: Record<string, string> };
}

/** What a loader can read. */
export interface Reads {
  kernelCompressions: string[];
  fileSystems: string[];
}

/** What proves that the bytes of a source are the right ones; any one of them does. */
export interface Pins {
  sha256?: string;
  sha512?: string;
  /** Git commit id: the tree at this commit, made into a tarball. */
  commit?: string;
}

/** One place where a source can be had. */
export type Origin =
  | { type: 'tarball'; url: string }
  /** `commit`: an id, or a tag. */
  | { type: 'git'; url: string; commit: string }
  | ({ type: 'debian' } & DebianFile)
  | { type: 'dir'; path: string };

/** A source that a recipe needs: what it is, what proves it, where to look for it. */
export interface SourceRef {
  name: string;
  version: string;
  /** The name of its tarball where people keep such files. */
  file: string;
  /** The single folder at the top of the tarball. */
  top: string;
  /** Expected size of the tarball in bytes, where it is known. */
  size?: number;
  pins: Pins;
  origins: Origin[];
  /** Where it is a part of another source's release tarball: that source, and the folder below the tarball's top folder. */
  within?: { name: string; version: string; folder: string };
}
