import { createHash } from 'node:crypto';
import { UsageError } from '../errors.ts';
import type { Catalog, External, Mirror, Pins, Reads, Release, SourceRef } from './types.ts';
import { compareVersions, inRange } from './version.ts';

/** The release of a list, or an error that names the neighbours that are there. */
function release(list: Release[], loader: string, version: string): Release {
  const found = list.find((entry) => entry.version === version);
  if (found) return found;
  const known = list.map((entry) => entry.version);
  const series = version.split('.').slice(0, 2).join('.');
  const near = known.filter((entry) => entry === series || entry.startsWith(`${series}.`));
  throw new UsageError('VERSION_UNKNOWN', `${loader} ${version} is not in the catalog`, {
    expected: near.length > 0 ? `one of ${near.join(', ')}` : `one of ${known.length} versions from ${known[0]} to ${known.at(-1)}`,
    got: version,
    hint: 'docs/adding-a-version.md tells how to add one',
  });
}

function pins(entry: { sha256?: string; sha512?: string; commit?: string | null }): Pins {
  return {
    ...(entry.sha256 ? { sha256: entry.sha256 } : {}),
    ...(entry.sha512 ? { sha512: entry.sha512 } : {}),
    ...(entry.commit ? { commit: entry.commit } : {}),
  };
}

/** The Xen tree of a release. */
export function xenSource(catalog: Catalog, version: string): SourceRef {
  const entry = release(catalog.xen.releases, 'pv-grub', version);
  const checksum = entry.sha256 ?? entry.sha512;
  const tarball = { type: 'tarball', url: catalog.xen.tarball.replaceAll('{version}', version) } as const;
  const git = entry.commit ? [{ type: 'git', url: catalog.xen.git, commit: entry.commit } as const] : [];
  return {
    name: 'xen',
    version,
    file: `xen-${version}.tar.gz`,
    top: `xen-${version}`,
    ...(entry.size ? { size: entry.size } : {}),
    pins: pins(entry),
    // A tarball that nothing can prove is not an origin: the commit is.
    origins: checksum ? [tarball, ...git] : git,
  };
}

/** Where release tarballs of Xen have Mini-OS, and where the build wants it. */
const MINI_OS_FOLDER = 'extras/mini-os';

/** The last series whose release tarballs contain Mini-OS. */
const LAST_WITH_MINI_OS = '4.19.999';

/** Mini-OS as a part of a release tarball that a checksum pins; undefined where the tarball has none or has no checksum. */
function miniOsOfTarball(catalog: Catalog, xenVersion: string): SourceRef | undefined {
  const { name, version, file, size, pins, origins } = xenSource(catalog, xenVersion);
  const checksums = { ...(pins.sha256 ? { sha256: pins.sha256 } : {}), ...(pins.sha512 ? { sha512: pins.sha512 } : {}) };
  if (Object.keys(checksums).length === 0 || compareVersions(version, LAST_WITH_MINI_OS) > 0) return undefined;
  return {
    name: 'mini-os',
    version: `xen-${version}`,
    file,
    top: 'mini-os',
    ...(size === undefined ? {} : { size }),
    pins: checksums,
    origins: origins.filter(({ type }) => type === 'tarball'),
    within: { name, version, folder: MINI_OS_FOLDER },
  };
}

/**
 * The Mini-OS tree of a Xen release from 4.6 on; undefined before, when it was part of the Xen tree. Where the commit behind its
 * tag is not known, it is taken from the release tarball, once a checksum pins that (`pvgrub sources lock`). Until then the tag
 * is the place to look at, and nothing proves what is found there.
 */
export function miniOsSource(catalog: Catalog, xenVersion: string): SourceRef | undefined {
  const range = catalog.miniOs.ranges.find((entry) => inRange(xenVersion, entry));
  if (!range) return undefined;
  const part = range.commit ? undefined : miniOsOfTarball(catalog, xenVersion);
  if (part) return part;
  const commit = range.commit ?? range.tag;
  const version = range.commit ? range.commit.slice(0, 12) : (range.tag ?? xenVersion);
  return {
    name: 'mini-os',
    version,
    file: `mini-os-${version}.tar`,
    top: 'mini-os',
    pins: pins(range),
    origins: commit ? [{ type: 'git', url: catalog.miniOs.git, commit }] : [],
  };
}

/**
 * Where a mirror keeps a file.
 * @param url with {file}, {md5}, {sha1}, {sha256}, {sha512}, {file-blake2b:2} (GLEP 75: the first two hex digits of the
 *   BLAKE2b-512 of the file's name)
 * @returns undefined where the entry lacks a checksum that the mirror's names are made of
 */
export function mirrorUrl(url: string, entry: Pick<External, 'file' | 'md5' | 'sha1' | 'sha256' | 'sha512'>): string | undefined {
  const { file, md5, sha1, sha256, sha512 } = entry;
  const values = { file, md5, sha1, sha256, sha512, 'file-blake2b:2': createHash('blake2b512').update(file).digest('hex').slice(0, 2) };
  const filled = url.replace(/\{([^}]*)\}/g, (hole, name: string) => values[name as keyof typeof values] ?? hole);
  return /[{}]/.test(filled) ? undefined : filled;
}

function externalSource(entry: External, mirrors: readonly Mirror[] = []): SourceRef {
  const { name, version, file, top, size } = entry;
  const mirrored = mirrors.map(({ url }) => mirrorUrl(url, entry)).filter((url) => url !== undefined);
  return {
    name,
    version,
    file,
    top,
    size,
    pins: pins(entry),
    origins: [
      ...[...entry.tarballs, ...mirrored].map((url) => ({ type: 'tarball', url }) as const),
      ...(entry.debian ? [{ type: 'debian', ...entry.debian } as const] : []),
      ...(entry.git && entry.commit ? [{ type: 'git', url: entry.git, commit: entry.commit } as const] : []),
    ],
  };
}

/** The packages beside Xen that the stubdom build of a release wants. */
export function externalSources(catalog: Catalog, xenVersion: string): SourceRef[] {
  return catalog.externals.filter((entry) => inRange(xenVersion, entry)).map((entry) => externalSource(entry, catalog.mirrors));
}

/** What the pv-grub of a Xen release can read. */
export function readsOf({ reads }: Catalog, xenVersion: string): Reads {
  const names = (list: Catalog['reads']['fileSystems']) =>
    list.filter((entry) => inRange(xenVersion, entry)).flatMap((entry) => entry.names);
  return { kernelCompressions: names(reads.kernelCompressions), fileSystems: names(reads.fileSystems) };
}

/** The GRUB 2 tarball of a release and what is to be said about it. */
export function grub2Source(catalog: Catalog, version: string): { source: SourceRef; warnings: string[] } {
  const entry = release(catalog.grub2.releases, 'pvgrub2', version);
  const source: SourceRef = {
    name: 'grub2',
    version,
    file: `grub-${version}.tar.xz`,
    top: `grub-${version}`,
    ...(entry.size ? { size: entry.size } : {}),
    pins: pins(entry),
    origins: [
      ...(entry.debian ? [{ type: 'debian', ...entry.debian } as const] : []),
      { type: 'tarball', url: catalog.grub2.tarball.replaceAll('{version}', version) },
    ],
  };
  return { source, warnings: entry.warnings ?? [] };
}

/** All versions that the catalog has for a loader, oldest first. */
export function knownVersions(catalog: Catalog, loader: 'pv-grub' | 'pvgrub2'): string[] {
  const list = loader === 'pv-grub' ? catalog.xen.releases : catalog.grub2.releases;
  return list.map((entry) => entry.version).sort(compareVersions);
}
