import { type Area, Damaged } from './area.ts';
import { bitNames, type ExtSuper, extSuper, uuidText } from './ext-super.ts';

/** What an area of a disk holds, by its own marks. Pure. */

/** What is there, as far as its superblock tells. */
export interface Content {
  /** As blkid(8) calls it: ext4, btrfs, xfs, swap, LVM2_member … ; "empty" for zeros, "unknown" for anything else. */
  type: string;
  uuid?: string;
  label?: string;
  ext?: ExtSuper;
  /** Incompatible features of XFS (version 5), as bits. */
  incompat?: number;
  /** Incompatible features of btrfs, by their names in Linux. */
  features?: string[];
  /** Version of an XFS. */
  version?: number;
  /** What is wrong with it. */
  fault?: string;
}

/** Text at a place that names a content. Sources: the formats' own documents, and file(1)'s list. */
const MARKS: readonly (readonly [type: string, at: number, mark: string])[] = [
  ['qcow2', 0, 'QFI\xfb'],
  ['vmdk', 0, 'KDMV'],
  ['vhd', 0, 'conectix'],
  ['vdi', 0x40, '\x7f\x10\xda\xbe'],
  ['gzip', 0, '\x1f\x8b\x08'],
  ['xz', 0, '\xfd7zXZ\0'],
  ['zstd', 0, '\x28\xb5\x2f\xfd'],
  ['crypto_LUKS', 0, 'LUKS\xba\xbe'],
  ['squashfs', 0, 'hsqs'],
  ['ntfs', 3, 'NTFS    '],
  ['LVM2_member', 512, 'LABELONE'],
  ['LVM2_member', 0, 'LABELONE'],
  ['linux_raid_member', 0, '\xfc\x4e\x2b\xa9'],
  ['linux_raid_member', 4096, '\xfc\x4e\x2b\xa9'],
  ['f2fs', 1024, '\x10\x20\xf5\xf2'],
  ['swap', 4086, 'SWAPSPACE2'],
  ['jfs', 0x8000, 'JFS1'],
  ['iso9660', 0x8001, 'CD001'],
  ['reiserfs', 0x1_0034, 'ReIsEr'],
  ['vfat', 54, 'FAT1'],
  ['vfat', 82, 'FAT32'],
];

/** What is no file system of its own, but a folder of the system that runs. */
export const FOLDER = 'folder';

/** Image formats and packings of a whole disk: what is in them is not looked at. */
export const PACKED: Record<string, string> = {
  qcow2: 'qemu-img convert -O raw <file> <disk.img>',
  vmdk: 'qemu-img convert -O raw <file> <disk.img>',
  vhd: 'qemu-img convert -O raw <file> <disk.img>',
  vdi: 'qemu-img convert -O raw <file> <disk.img>',
  gzip: 'gunzip -k <file>',
  xz: 'xz -dk <file>',
  zstd: 'zstd -d <file>',
};

const textOf = (bytes: Buffer) => bytes.toString('latin1').replace(/\0.*$/s, '');

const more = (uuid: string, label: string) => ({ uuid, ...(label === '' ? {} : { label }) });

const BTRFS = {
  mixed_backref: 0x1,
  default_subvol: 0x2,
  mixed_groups: 0x4,
  compress_lzo: 0x8,
  compress_zstd: 0x10,
  big_metadata: 0x20,
  extended_iref: 0x40,
  raid56: 0x80,
  skinny_metadata: 0x100,
  no_holes: 0x200,
  metadata_uuid: 0x400,
  raid1c34: 0x800,
  zoned: 0x1000,
  extent_tree_v2: 0x2000,
  raid_stripe_tree: 0x4000,
  simple_quota: 0x1_0000,
};

/** The superblock of btrfs at 64 KiB (btrfs-dev-docs, "on-disk format"). */
function btrfs(area: Area): Content | undefined {
  const sb = area.peek(0x1_0000, 0x300);
  if (sb.toString('latin1', 0x40, 0x48) !== '_BHRfS_M') return undefined;
  return {
    type: 'btrfs',
    ...more(uuidText(sb.subarray(0x20, 0x30)), textOf(sb.subarray(0x12b, 0x22b))),
    features: bitNames(sb.readUInt32LE(0xbc), BTRFS),
  };
}

/** The superblock of XFS (XFS algorithms & data structures, "superblocks"); big-endian. */
function xfs(area: Area): Content | undefined {
  const sb = area.peek(0, 512);
  if (sb.toString('latin1', 0, 4) !== 'XFSB') return undefined;
  const version = sb.readUInt16BE(100) & 0xf;
  return {
    type: 'xfs',
    ...more(uuidText(sb.subarray(32, 48)), textOf(sb.subarray(108, 120))),
    version,
    ...(version === 5 ? { incompat: sb.readUInt32BE(216) } : {}),
  };
}

/** What is in an area. Never throws for what stands there. */
export function identify(area: Area): Content {
  try {
    const found = btrfs(area) ?? xfs(area);
    if (found) return found;
    for (const [type, at, mark] of MARKS) if (area.peek(at, mark.length).toString('latin1') === mark) return { type };
    const ext = extSuper(area);
    if (ext) return { type: ext.type, ...more(ext.uuid, ext.label), ext };
    const first = area.peek(0, Math.min(area.size, 4096));
    return { type: first.every((byte) => byte === 0) ? 'empty' : 'unknown' };
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    return { type: 'unknown', fault: error.message };
  }
}
