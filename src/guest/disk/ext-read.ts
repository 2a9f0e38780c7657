import { type Area, Damaged } from './area.ts';
import { type ExtSuper, INCOMPAT } from './ext-super.ts';
import { type Walked, walk } from './walk.ts';

/** Reading files of ext2, ext3 and ext4, without writing and without a mount (Linux, Documentation/filesystems/ext4). Pure. */

/** Flags of an inode that decide who can read it. */
export const INODE_FLAG = { compressed: 0x4, encrypted: 0x800, extents: 0x8_0000, inline: 0x1000_0000 } as const;

/** One inode: a file, folder or link. */
export interface Inode {
  number: number;
  kind: 'file' | 'folder' | 'link' | 'other';
  /** Bytes. */
  size: number;
  flags: number;
  /** i_block: block pointers, extents, or a short link's target. */
  block: Buffer;
  /** A link's target stands in the inode. */
  fast: boolean;
}

/** Blocks of a file that follow each other. */
interface Run {
  logical: number;
  physical: number;
  count: number;
}

/** Content that a boot loader has no way to is not followed here, either. */
export class Hidden extends Error {
  readonly why: 'inline_data' | 'encrypt' | 'compression';
  constructor(why: Hidden['why'], what: string) {
    super(what);
    this.why = why;
  }
}

const ROOT = 2;
/** A menu has a kilobyte, an initial RAM disk some hundred megabytes: a larger file is not followed. */
export const MAX_FILE: number = 2 ** 29;
const MAX_FOLDER = 4 * 2 ** 20;
/** Names of folders that are remembered. */
const MAX_NAMES = 500_000;
/** Pieces of a file; more are in no file that size. */
const MAX_RUNS = 2 ** 18;
const EXTENT_MAGIC = 0xf30a;
/** An extent longer than this is allocated, but not written: its length is what is above. */
const UNWRITTEN = 0x8000;

const KINDS: Record<number, Inode['kind']> = { 32768: 'file', 16384: 'folder', 40960: 'link' };

/** Reads files of one file system. All methods throw {@link Damaged} where it is damaged, {@link Hidden} where a content is out of reach. */
export class ExtFiles {
  readonly sb: ExtSuper;
  private readonly area: Area;
  private readonly inodes = new Map<number, Inode>();
  private readonly folders = new Map<number, Map<string, number>>();
  private names = 0;

  constructor(area: Area, sb: ExtSuper) {
    this.area = area;
    this.sb = sb;
  }

  private blocks(block: number, offset: number, length: number): Buffer {
    return this.area.bytes(block * this.sb.blockSize + offset, length);
  }

  /** Block that has the descriptor of a group: after the superblock, or, with meta_bg, in the first group of those it describes. */
  private descBlock(group: number): number {
    const { blockSize, descSize, firstDataBlock, firstMetaBg, incompat, blocksPerGroup, roCompat } = this.sb;
    const each = blockSize / descSize;
    const nth = Math.floor(group / each);
    // With clusters of blocks (bigalloc) the first block counts as a data block even where it is a boot record of 1 KiB.
    const superBlock = blockSize === 1024 ? Math.max(1, firstDataBlock) : firstDataBlock;
    if (!(incompat & INCOMPAT.meta_bg) || nth < firstMetaBg) return superBlock + 1 + nth;
    const first = nth * each;
    return firstDataBlock + first * blocksPerGroup + (hasSuper(first, (roCompat & 1) !== 0) ? 1 : 0);
  }

  /** An inode by its number. */
  inode(number: number): Inode {
    const known = this.inodes.get(number);
    if (known) return known;
    const { inodes, inodesPerGroup, inodeSize, blockSize, descSize } = this.sb;
    if (number < 1 || number > inodes) throw new Damaged(`there is no inode ${number}`);
    const group = Math.floor((number - 1) / inodesPerGroup);
    const desc = this.blocks(this.descBlock(group), (group % (blockSize / descSize)) * descSize, descSize);
    const table = desc.readUInt32LE(8) + (descSize >= 64 ? desc.readUInt32LE(0x28) * 2 ** 32 : 0);
    const raw = this.blocks(table, ((number - 1) % inodesPerGroup) * inodeSize, 128);
    const mode = raw.readUInt16LE(0) & 0xf000;
    const kind = KINDS[mode] ?? 'other';
    const size = raw.readUInt32LE(4) + (kind === 'file' ? raw.readUInt32LE(0x6c) * 2 ** 32 : 0);
    const flags = raw.readUInt32LE(0x20);
    const inode: Inode = {
      number,
      kind,
      size,
      flags,
      block: raw.subarray(0x28, 0x64),
      fast: kind === 'link' && size < 60 && !(flags & (INODE_FLAG.extents | INODE_FLAG.inline)),
    };
    this.inodes.set(number, inode);
    return inode;
  }

  /** Where a file's content lies; what no run covers is a hole. */
  private runs(inode: Inode): Run[] {
    const { flags } = inode;
    if (flags & INODE_FLAG.encrypted) throw new Hidden('encrypt', 'its content is encrypted');
    if (flags & INODE_FLAG.inline) throw new Hidden('inline_data', 'its content is inside of its inode');
    if (flags & INODE_FLAG.compressed) throw new Hidden('compression', 'its content is compressed');
    if (inode.size > MAX_FILE) throw new Damaged(`a file of ${inode.size} bytes is none that boots`);
    const total = Math.ceil(inode.size / this.sb.blockSize);
    if (!(flags & INODE_FLAG.extents)) return this.pointers(inode.block, total);
    const found: Run[] = [];
    this.extents(inode.block, 5, found);
    return found;
  }

  /** Adds the extents below a node to `found`. */
  private extents(node: Buffer, depth: number, found: Run[]): void {
    if (node.readUInt16LE(0) !== EXTENT_MAGIC) throw new Damaged('a file has a broken tree of extents');
    const count = node.readUInt16LE(2);
    const level = node.readUInt16LE(6);
    if (level > depth || 12 + count * 12 > node.length) throw new Damaged('a file has a broken tree of extents');
    for (let at = 12; at < 12 + count * 12; at += 12) {
      if (level > 0) {
        const child = node.readUInt16LE(at + 8) * 2 ** 32 + node.readUInt32LE(at + 4);
        this.extents(this.blocks(child, 0, this.sb.blockSize), level - 1, found);
        continue;
      }
      const length = node.readUInt16LE(at + 4);
      // Allocated and not written: zeros, as a hole.
      if (length > UNWRITTEN) continue;
      if (found.length === MAX_RUNS) throw new Damaged('a file is in too many pieces');
      found.push({
        logical: node.readUInt32LE(at),
        count: length,
        physical: node.readUInt16LE(at + 6) * 2 ** 32 + node.readUInt32LE(at + 8),
      });
    }
  }

  /** Twelve blocks, then one of pointers, one of pointers to those, one more. */
  private pointers(block: Buffer, total: number): Run[] {
    const each = this.sb.blockSize / 4;
    const runs: Run[] = [];
    const add = (logical: number, physical: number) => {
      const last = runs.at(-1);
      if (physical === 0) return;
      if (last && last.physical + last.count === physical && last.logical + last.count === logical) last.count++;
      else if (runs.length === MAX_RUNS) throw new Damaged('a file is in too many pieces');
      else runs.push({ logical, physical, count: 1 });
    };
    const walk = (pointer: number, level: number, logical: number): void => {
      if (pointer === 0 || logical >= total) return;
      if (level === 0) {
        add(logical, pointer);
        return;
      }
      const table = this.blocks(pointer, 0, this.sb.blockSize);
      const width = each ** (level - 1);
      for (let i = 0; i < each && logical + i * width < total; i++) walk(table.readUInt32LE(i * 4), level - 1, logical + i * width);
    };
    for (let i = 0; i < 12; i++) walk(block.readUInt32LE(i * 4), 0, i);
    for (let level = 1, start = 12; level <= 3; start += each ** level, level++) walk(block.readUInt32LE(44 + level * 4), level, start);
    return runs;
  }

  /** Whether blocks of it are left out (holes, or allocated and never written), which some loaders cannot read. */
  hasHoles(inode: Inode): boolean {
    const total = Math.ceil(inode.size / this.sb.blockSize);
    const covered = this.runs(inode).reduce((sum, { logical, count }) => sum + Math.max(0, Math.min(count, total - logical)), 0);
    return covered < total;
  }

  /** The first block of it that lies beyond what 32 bits count; undefined where none does. */
  farBlock(inode: Inode): number | undefined {
    return this.runs(inode).find(({ physical, count }) => physical + count > 2 ** 32)?.physical;
  }

  /** A file's bytes, `limit` of them at the most. */
  read(inode: Inode, limit: number): Buffer {
    const size = Math.min(inode.size, limit);
    if (inode.fast) return Buffer.from(inode.block.subarray(0, size));
    const { blockSize } = this.sb;
    const runs = this.runs(inode);
    // What is not there is not asked for: a file that says it is large takes no memory.
    const last = runs.reduce((most, { logical, count }) => Math.max(most, logical + count), 0);
    const end = Math.min(size, last * blockSize);
    const result = Buffer.alloc(end);
    const step = Math.max(1, Math.floor((1 << 18) / blockSize));
    for (const { logical, physical, count } of runs) {
      for (let i = 0; i < count && (logical + i) * blockSize < end; i += step) {
        const at = (logical + i) * blockSize;
        const length = Math.min(Math.min(step, count - i) * blockSize, end - at);
        this.blocks(physical + i, 0, length).copy(result, at);
      }
    }
    return result;
  }

  /** The names in a folder. */
  list(inode: Inode): Map<string, number> {
    const known = this.folders.get(inode.number);
    if (known) return known;
    if (inode.kind !== 'folder') throw new Damaged('a folder is wanted where there is none');
    if (inode.size > MAX_FOLDER) throw new Damaged(`a folder of ${inode.size} bytes is not looked through`);
    const content = this.read(inode, MAX_FOLDER);
    const { blockSize } = this.sb;
    const names = new Map<string, number>();
    // Inner nodes of an indexed folder look like one empty entry each.
    for (let start = 0; start < content.length; start += blockSize) {
      for (let at = start; at + 8 <= Math.min(start + blockSize, content.length); ) {
        const number = content.readUInt32LE(at);
        const length = content.readUInt16LE(at + 4);
        const name = content.subarray(at + 8, at + 8 + (content[at + 6] as number)).toString('utf8');
        if (length < 8) throw new Damaged('a folder has a broken entry');
        if (number !== 0) names.set(name, number);
        at += length;
      }
    }
    // Folders can share their blocks: what is remembered is bounded.
    this.names += names.size;
    if (this.names > MAX_NAMES) {
      this.folders.clear();
      this.names = names.size;
    }
    this.folders.set(inode.number, names);
    return names;
  }

  /** What is at an absolute path; undefined where nothing is. */
  find(path: string): Walked<Inode> | undefined {
    return walk(
      {
        root: this.inode(ROOT),
        kind: ({ kind }) => kind,
        child: (folder, name) => {
          const number = this.list(folder).get(name);
          return number === undefined ? undefined : this.inode(number);
        },
        target: (link) => this.read(link, 4096).toString('utf8'),
      },
      path,
    );
  }
}

/** Whether a group begins with a copy of the superblock: all, or with sparse_super 0, 1 and powers of 3, 5 and 7. */
function hasSuper(group: number, sparse: boolean): boolean {
  if (!sparse || group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}
