import type { Reads } from '../catalog/types.ts';
import { compareVersions } from '../catalog/version.ts';
import type { Arch, Loader } from '../recipes/types.ts';
import { INODE_FLAG, type Inode } from './disk/ext-read.ts';
import { type ExtSuper, INCOMPAT, incompatNames } from './disk/ext-super.ts';
import { type Content, FOLDER } from './disk/identify.ts';
import type { PartitionTable } from './disk/partitions.ts';

/** What a loader can read: a disk, a file system, one file of it. Pure. */

/** A loader as far as its abilities go. */
export interface LoaderKind {
  /** A cell's id, or a file's name. */
  name: string;
  /** The image's file, as hosts have it: "pv-grub-x86_64.gz"; a path for one that is at hand. */
  file: string;
  loader: Loader;
  arch: Arch;
  /** Of the upstream release; undefined for a file of unknown origin. */
  version?: string | undefined;
  /** Built by this project: its edits are in it. */
  ours: boolean;
  reads?: Reads | undefined;
}

/** Something that stands in a loader's way. */
export interface Obstacle {
  what: string;
  /** What to do about it. */
  hint: string;
}

/** A file that a loader must read, with what is on the way to it. */
export interface FileOnDisk {
  path: string;
  through: readonly Inode[];
  links: number;
  holes: boolean;
  far: boolean;
}

/** The way out where a file system cannot be read. */
export const SMALL_BOOT = 'a small /boot of its own, of ext2: mke2fs -t ext2 -I 128 -d <folder with the files> <disk>';
const UNKNOWN = 'the release of this file is not known: pvgrub boot shows what it reads';
const NEWER = 'take an image of this project, of Xen 4.2 or later: pv-grub is not tied to the Xen that runs';
const USE_GRUB2 = 'use pvgrub2';

/** At least this version; an unknown one counts as old. */
const since = ({ version }: LoaderKind, release: string) => version !== undefined && compareVersions(version, release) >= 0;

const newer = ({ version }: LoaderKind) => (version === undefined ? `${UNKNOWN}; or ${NEWER}` : NEWER);

/** It reads extents: Xen's own patch for GRUB 0.97 came with 4.2. */
const readsExtents = (loader: LoaderKind) => loader.loader === 'pvgrub2' || since(loader, '4.2.0');
/** 64bit, holes in extents, meta_bg: only by the edits of this project (edits/pv-grub/grub-ext4.json). */
const readsNewer = (loader: LoaderKind) => loader.loader === 'pvgrub2' || (loader.ours && since(loader, '4.2.0'));

/** Symbolic links that a loader follows on one way: GRUB 0.97's MAX_LINK_COUNT, GRUB 2's nesting limit. */
const MAX_LINKS = { 'pv-grub': 5, pvgrub2: 8 } as const;

/**
 * What of a disk's layout stands in the way.
 * @param kind of the partition table
 */
export function tableObstacle({ loader }: LoaderKind, kind: PartitionTable['kind']): Obstacle | undefined {
  if (loader === 'pvgrub2' || kind !== 'gpt') return undefined;
  return { what: 'GRUB 0.97 reads no GPT', hint: `${USE_GRUB2}, or an MBR, or no table at all: one file system on the whole disk` };
}

/** Bits that GRUB 2's driver knows or ignores (grub-core/fs/ext2.c of 2.12 and 2.14); it refuses a file system with any other. */
const GRUB2_EXT =
  INCOMPAT.filetype |
  INCOMPAT.extent |
  INCOMPAT.flex_bg |
  INCOMPAT.meta_bg |
  INCOMPAT['64bit'] |
  INCOMPAT.encrypt |
  INCOMPAT.needs_recovery |
  INCOMPAT.mmp |
  INCOMPAT.metadata_csum_seed |
  INCOMPAT.large_dir;
/** GRUB 0.97 looks at no bit; these do no harm, the file's own flags decide (see {@link fileObstacle}). */
const LEGACY_EXT = GRUB2_EXT | INCOMPAT.ea_inode | INCOMPAT.inline_data | INCOMPAT.casefold;

/** How to do without a feature; tune2fs cannot take all of them away. */
const WITHOUT: Record<string, string> = {
  '64bit': 'resize2fs -s <device>, unmounted and after e2fsck -f, turns it off where e2fsprogs can; or mke2fs -O ^64bit',
  meta_bg: 'mke2fs -O ^meta_bg,resize_inode',
  inline_data: 'mke2fs -O ^inline_data; it cannot be turned off later',
  encrypt: 'keep /boot out of encrypted folders',
  casefold: 'tune2fs -O ^casefold where no folder uses it, or mke2fs without it',
  ea_inode: 'mke2fs -O ^ea_inode',
};

/** What of an ext file system's features stands in the way. */
function extObstacle(loader: LoaderKind, ext: ExtSuper): Obstacle | undefined {
  const { incompat, blockSize } = ext;
  const known = loader.loader === 'pvgrub2' ? GRUB2_EXT : LEGACY_EXT;
  let wrong = incompat & ~known;
  // With meta_bg the first block of group descriptors is where it always was: a small file system has no other.
  const scattered = Math.ceil(ext.size / blockSize / ext.blocksPerGroup) > blockSize / ext.descSize ? INCOMPAT.meta_bg : 0;
  if (!readsNewer(loader)) wrong |= incompat & (INCOMPAT['64bit'] | scattered);
  if (wrong !== 0) {
    const names = incompatNames(wrong);
    const ways = names.flatMap((name) => WITHOUT[name] ?? []);
    const helps = loader.loader === 'pv-grub' && !readsNewer(loader) && (wrong & ~(INCOMPAT['64bit'] | INCOMPAT.meta_bg)) === 0;
    return {
      what: `the feature${names.length === 1 ? '' : 's'} ${names.join(', ')} of this ${ext.type}`,
      hint: [...(helps ? [newer(loader)] : []), ...ways, SMALL_BOOT].join('; or '),
    };
  }
  if (ext.firstDataBlock === 0 && blockSize === 1024)
    return { what: 'bigalloc with blocks of 1 KiB: its group descriptors are not where loaders look', hint: SMALL_BOOT };
  if (loader.loader === 'pv-grub' && blockSize > 8192) return { what: `blocks of ${blockSize} bytes`, hint: 'mke2fs -b 4096' };
  return undefined;
}

/** XFS features by GRUB release (grub-core/fs/xfs.c): those of 2.12 are six, 2.14 knows three more. */
const XFS_FEATURES = { '2.12': 0x3f, '2.14': 0x1ff } as const;

function xfsObstacle(loader: LoaderKind, { version, incompat = 0 }: Content): Obstacle | undefined {
  if (loader.loader === 'pv-grub')
    return version === 5
      ? { what: 'XFS of version 5, as mkfs.xfs makes it since 2014', hint: `${USE_GRUB2}, or ${SMALL_BOOT}` }
      : undefined;
  const unknown = incompat & ~XFS_FEATURES[since(loader, '2.14') ? '2.14' : '2.12'];
  return unknown === 0 ? undefined : { what: `features 0x${unknown.toString(16)} of this XFS`, hint: SMALL_BOOT };
}

/** What lies under a file system: a loader that reads file systems on it, or none. */
const BELOW: Record<string, readonly Loader[]> = { LVM2_member: ['pvgrub2'], linux_raid_member: ['pvgrub2'], crypto_LUKS: [] };

/**
 * What of a file system, or of what stands in its place, is in the way of reading anything there.
 * @returns undefined where nothing is
 */
export function contentObstacle(loader: LoaderKind, content: Content): Obstacle | undefined {
  const { type, ext } = content;
  if (content.fault !== undefined) return { what: `it is damaged: ${content.fault}`, hint: 'e2fsck -f tells more' };
  // A folder that is no mounted device: what will be under it is not known.
  if (type === FOLDER) return undefined;
  if (ext) return extObstacle(loader, ext);
  if (type === 'xfs') return xfsObstacle(loader, content);
  const below = BELOW[type];
  if (below)
    return below.includes(loader.loader)
      ? undefined
      : { what: `${loader.loader} does not look into ${type}`, hint: [...below.map((name) => `use ${name}`), SMALL_BOOT].join(', or ') };
  if (loader.reads ? loader.reads.fileSystems.includes(type === 'vfat' ? 'fat' : type) : false) return undefined;
  return {
    what: `${loader.loader} does not read ${type}`,
    hint: loader.loader === 'pv-grub' && type === 'btrfs' ? `${USE_GRUB2}, or ${SMALL_BOOT}` : SMALL_BOOT,
  };
}

/** What of one file stands in the way: flags of its inode or of a folder before it, holes, links. */
export function fileObstacle(loader: LoaderKind, { through, links, holes, far }: FileOnDisk): Obstacle | undefined {
  const has = (flag: number) => through.some(({ flags }) => flags & flag);
  if (has(INODE_FLAG.inline))
    return { what: 'its content, or that of a folder before it, is inside of its inode (inline_data)', hint: `copy it to ${SMALL_BOOT}` };
  if (has(INODE_FLAG.encrypted)) return { what: 'it is encrypted', hint: 'move it out of the encrypted folder' };
  if (has(INODE_FLAG.compressed)) return { what: 'it is compressed', hint: SMALL_BOOT };
  if (links > MAX_LINKS[loader.loader])
    return {
      what: `${links} symbolic links lead to it, and ${loader.loader} follows ${MAX_LINKS[loader.loader]}`,
      hint: 'name the file itself',
    };
  if (!readsExtents(loader) && has(INODE_FLAG.extents))
    return { what: 'it is stored in extents, as ext4 does', hint: `${newer(loader)}; or ${SMALL_BOOT}` };
  if (holes && has(INODE_FLAG.extents) && !readsNewer(loader))
    return {
      what: 'it has holes',
      hint: `write it anew without: cp --sparse=never <file> <file>.new && mv <file>.new <file>; or ${newer(loader)}`,
    };
  if (far && loader.loader === 'pv-grub') return { what: 'it lies beyond 16 TiB', hint: SMALL_BOOT };
  const size = through.at(-1)?.size ?? 0;
  if (loader.loader === 'pv-grub' && size > 0x7fff_ffff) return { what: 'it is larger than 2 GiB', hint: 'name a smaller one' };
  return undefined;
}
