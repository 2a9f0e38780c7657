import { type Area, Damaged } from './area.ts';

/** Partition tables as loaders and guests count them. Pure. */

/** A part of a disk. */
export interface Partition {
  /** As Linux counts: 1 to 4 of an MBR's own, from 5 on its logical ones. */
  number: number;
  /** Bytes. */
  start: number;
  size: number;
  /** Type as the table has it: two hexadecimal digits of an MBR, a GUID of a GPT. */
  type: string;
}

/** What a disk begins with. */
export interface PartitionTable {
  kind: 'none' | 'mbr' | 'gpt';
  partitions: Partition[];
  /** What is odd about it. */
  faults: string[];
}

const SECTOR = 512;
/** Types of an MBR: extended (three ways to say it), and "see the GPT". */
const EXTENDED = new Set([0x05, 0x0f, 0x85]);
const PROTECTIVE = 0xee;
/** Links of logical partitions that are followed; Linux has no more device numbers. */
const MAX_LOGICAL = 60;
/** Entries of a GPT that are looked at; 128 are usual. */
const MAX_GPT = 1024;

interface Slot {
  active: number;
  type: number;
  start: number;
  sectors: number;
}

/** The four entries of 16 bytes at 446 of a boot record; undefined where it has no signature. */
function slots(sector: Buffer): Slot[] | undefined {
  if (sector.readUInt16LE(510) !== 0xaa55) return undefined;
  return [446, 462, 478, 494].map((at) => ({
    active: sector[at] as number,
    type: sector[at + 4] as number,
    start: sector.readUInt32LE(at + 8),
    sectors: sector.readUInt32LE(at + 12),
  }));
}

/** Whether four entries can be a table: a boot sector of a file system has the same signature, and code in their place. */
function plausible(list: readonly Slot[], sectors: number): boolean {
  const used = list.filter(({ type }) => type !== 0);
  return (
    used.length > 0 &&
    list.every(({ active }) => active === 0 || active === 0x80) &&
    used.every(({ start, sectors: size }) => start > 0 && size > 0 && start < sectors)
  );
}

const hex = (type: number) => type.toString(16).padStart(2, '0');

/** Logical partitions: each record has one, and a link to the next, relative to the extended one's start. */
function logical(disk: Area, extended: Slot, faults: string[]): Partition[] {
  const found: Partition[] = [];
  let at = extended.start;
  for (let seen = 0; ; seen++) {
    if (seen === MAX_LOGICAL) {
      faults.push('the chain of its logical partitions does not end');
      return found;
    }
    const list = at * SECTOR + SECTOR <= disk.size ? slots(disk.bytes(at * SECTOR, SECTOR)) : undefined;
    if (list === undefined) {
      faults.push('the chain of its logical partitions is broken');
      return found;
    }
    const own = list.find(({ type, sectors }) => type !== 0 && sectors > 0 && !EXTENDED.has(type));
    if (own) found.push({ number: 5 + found.length, start: (at + own.start) * SECTOR, size: own.sectors * SECTOR, type: hex(own.type) });
    const next = list.find(({ type, sectors }) => EXTENDED.has(type) && sectors > 0);
    if (!next) return found;
    at = extended.start + next.start;
  }
}

/** A GUID as people write it; the first three groups are little-endian (UEFI, appendix A). */
function guid(bytes: Buffer): string {
  const part = (from: number, to: number, swap: boolean) => {
    const piece = Buffer.from(bytes.subarray(from, to));
    return (swap ? piece.reverse() : piece).toString('hex');
  };
  return [part(0, 4, true), part(4, 6, true), part(6, 8, true), part(8, 10, false), part(10, 16, false)].join('-');
}

/** The table of a GPT whose header is at `at` (UEFI, 5.3); undefined where there is none. Sectors are of 512 bytes, as Xen's disks have them. */
function gpt(disk: Area): Partition[] | undefined {
  const header = disk.peek(SECTOR, SECTOR);
  if (header.toString('latin1', 0, 8) !== 'EFI PART') return undefined;
  const first = Number(header.readBigUInt64LE(72)) * SECTOR;
  const count = header.readUInt32LE(80);
  const size = header.readUInt32LE(84);
  if (size < 128 || size > 4096 || count > MAX_GPT) throw new Damaged(`its GPT says that it has ${count} entries of ${size} bytes`);
  const found: Partition[] = [];
  for (let n = 0; n < count; n++) {
    const entry = disk.bytes(first + n * size, size);
    const type = guid(entry.subarray(0, 16));
    if (/^[0-]*$/.test(type)) continue;
    const start = Number(entry.readBigUInt64LE(32)) * SECTOR;
    const end = (Number(entry.readBigUInt64LE(40)) + 1) * SECTOR;
    found.push({ number: n + 1, start, size: end - start, type });
    if (found.length > MAX_LOGICAL) throw new Damaged(`its GPT has more than ${MAX_LOGICAL} partitions`);
  }
  return found;
}

/** Partitions that lie within the disk, and a word on those that do not. */
function within(disk: Area, partitions: readonly Partition[], faults: string[]): Partition[] {
  return partitions.filter(({ number, start, size }) => {
    const good = Number.isSafeInteger(start) && Number.isSafeInteger(size) && size > 0 && start < disk.size;
    if (!good) faults.push(`partition ${number} lies outside of the disk`);
    else if (start + size > disk.size) faults.push(`partition ${number} reaches beyond the end of the disk`);
    return good;
  });
}

/**
 * Read a disk's partition table: MBR with logical partitions, or GPT. Never throws for what stands on the disk.
 * @param disk the whole disk
 */
export function partitionTable(disk: Area): PartitionTable {
  const faults: string[] = [];
  const list = disk.size >= SECTOR ? slots(disk.bytes(0, SECTOR)) : undefined;
  if (list === undefined || !plausible(list, Math.ceil(disk.size / SECTOR))) return { kind: 'none', partitions: [], faults };
  if (list.some(({ type }) => type === PROTECTIVE)) {
    try {
      const found = gpt(disk);
      if (found) return { kind: 'gpt', partitions: within(disk, found, faults), faults };
      faults.push('its MBR says that a GPT follows, but there is none');
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      return { kind: 'gpt', partitions: [], faults: [error.message] };
    }
  }
  const partitions = list.flatMap(({ type, start, sectors }, i): Partition[] =>
    type === 0 || EXTENDED.has(type) ? [] : [{ number: i + 1, start: start * SECTOR, size: sectors * SECTOR, type: hex(type) }],
  );
  const extended = list.find(({ type }) => EXTENDED.has(type));
  if (extended) partitions.push(...logical(disk, extended, faults));
  return { kind: 'mbr', partitions: within(disk, partitions, faults), faults };
}
