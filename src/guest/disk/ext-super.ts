import { type Area, Damaged } from './area.ts';

/** The superblock of ext2, ext3 and ext4 (Linux, Documentation/filesystems/ext4: "Super Block"). Pure. */

/** What the superblock says, as far as reading files needs it. */
export interface ExtSuper {
  /** As mount(8) calls it: by its features. */
  type: 'ext2' | 'ext3' | 'ext4';
  blockSize: number;
  /** Bytes, by the superblock. */
  size: number;
  inodeSize: number;
  inodes: number;
  inodesPerGroup: number;
  blocksPerGroup: number;
  firstDataBlock: number;
  /** Size of a group descriptor in bytes. */
  descSize: number;
  firstMetaBg: number;
  compat: number;
  incompat: number;
  roCompat: number;
  uuid: string;
  label: string;
}

/** Where it stands, and its magic number. */
const AT = 1024;
const MAGIC = 0xef53;

/** Bits of incompatible features: who does not know one must not touch the file system. */
export const INCOMPAT = {
  compression: 0x1,
  filetype: 0x2,
  needs_recovery: 0x4,
  journal_dev: 0x8,
  meta_bg: 0x10,
  extent: 0x40,
  '64bit': 0x80,
  mmp: 0x100,
  flex_bg: 0x200,
  ea_inode: 0x400,
  dirdata: 0x1000,
  metadata_csum_seed: 0x2000,
  large_dir: 0x4000,
  inline_data: 0x8000,
  encrypt: 0x1_0000,
  casefold: 0x2_0000,
} as const;

/** Features that change how files are written only. */
const RO_COMPAT = {
  sparse_super: 0x1,
  large_file: 0x2,
  btree_dir: 0x4,
  huge_file: 0x8,
  uninit_bg: 0x10,
  dir_nlink: 0x20,
  extra_isize: 0x40,
  snapshot: 0x80,
  quota: 0x100,
  bigalloc: 0x200,
  metadata_csum: 0x400,
  replica: 0x800,
  'read-only': 0x1000,
  project: 0x2000,
  shared_blocks: 0x4000,
  verity: 0x8000,
  orphan_present: 0x1_0000,
} as const;

const COMPAT = {
  dir_prealloc: 0x1,
  imagic_inodes: 0x2,
  has_journal: 0x4,
  ext_attr: 0x8,
  resize_inode: 0x10,
  dir_index: 0x20,
  sparse_super2: 0x200,
  fast_commit: 0x400,
  stable_inodes: 0x800,
  orphan_file: 0x1000,
} as const;

/** Names of the bits that are set; those without one as a hexadecimal number. */
export function bitNames(bits: number, known: Record<string, number>): string[] {
  const found = Object.entries(known).flatMap(([name, bit]) => (bits & bit ? [name] : []));
  const rest = bits & ~Object.values(known).reduce((sum, bit) => sum | bit, 0);
  return rest === 0 ? found : [...found, `0x${(rest >>> 0).toString(16)}`];
}

/** Names of incompatible features, as mke2fs has them; bits without a name as a hexadecimal number. */
export function incompatNames(bits: number): string[] {
  return bitNames(bits, INCOMPAT);
}

/** Names of all features, in the order of dumpe2fs(8). */
export function featureNames({ compat, incompat, roCompat }: Pick<ExtSuper, 'compat' | 'incompat' | 'roCompat'>): string[] {
  return [...bitNames(compat, COMPAT), ...bitNames(incompat, INCOMPAT), ...bitNames(roCompat, RO_COMPAT)];
}

function typeOf(compat: number, incompat: number, roCompat: number): ExtSuper['type'] {
  const old = INCOMPAT.filetype | INCOMPAT.needs_recovery | INCOMPAT.meta_bg | INCOMPAT.journal_dev | INCOMPAT.compression;
  const oldRo = RO_COMPAT.sparse_super | RO_COMPAT.large_file | RO_COMPAT.btree_dir;
  if (incompat & ~old || roCompat & ~oldRo) return 'ext4';
  return compat & COMPAT.has_journal || incompat & INCOMPAT.needs_recovery ? 'ext3' : 'ext2';
}

const text = (bytes: Buffer) => bytes.toString('latin1').replace(/\0.*$/s, '');

/** A UUID as people write it. */
export function uuidText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

const powerOfTwo = (value: number) => value > 0 && (value & (value - 1)) === 0;

/**
 * Read the superblock of an area.
 * @returns undefined where there is none
 * @throws Damaged where there is one that cannot be
 */
export function extSuper(area: Area): ExtSuper | undefined {
  const sb = area.peek(AT, 1024);
  if (sb.readUInt16LE(0x38) !== MAGIC) return undefined;
  const log = sb.readUInt32LE(0x18);
  if (log > 6) throw new Damaged(`its superblock says that blocks are of 2^${log + 10} bytes`);
  const blockSize = 1024 << log;
  const revision = sb.readUInt32LE(0x4c);
  const [compat, incompat, roCompat] = revision === 0 ? [0, 0, 0] : [sb.readUInt32LE(0x5c), sb.readUInt32LE(0x60), sb.readUInt32LE(0x64)];
  const wide = (incompat & INCOMPAT['64bit']) !== 0;
  const blocks = sb.readUInt32LE(4) + (wide ? sb.readUInt32LE(0x150) * 2 ** 32 : 0);
  const result: ExtSuper = {
    type: typeOf(compat, incompat, roCompat),
    blockSize,
    size: blocks * blockSize,
    inodeSize: revision === 0 ? 128 : sb.readUInt16LE(0x58),
    inodes: sb.readUInt32LE(0),
    inodesPerGroup: sb.readUInt32LE(0x28),
    blocksPerGroup: sb.readUInt32LE(0x20),
    firstDataBlock: sb.readUInt32LE(0x14),
    descSize: wide ? sb.readUInt16LE(0xfe) : 32,
    firstMetaBg: sb.readUInt32LE(0x104),
    compat,
    incompat,
    roCompat,
    uuid: uuidText(sb.subarray(0x68, 0x78)),
    label: text(sb.subarray(0x78, 0x88)),
  };
  const { inodeSize, descSize } = result;
  if (!powerOfTwo(inodeSize) || inodeSize < 128 || inodeSize > blockSize)
    throw new Damaged(`its superblock says that inodes are of ${inodeSize} bytes`);
  if (!powerOfTwo(descSize) || descSize < 32 || descSize > 1024)
    throw new Damaged(`its superblock says that group descriptors are of ${descSize} bytes`);
  if (result.inodesPerGroup === 0 || result.blocksPerGroup === 0) throw new Damaged('its superblock says that groups are empty');
  return result;
}
