/** The parts of an ELF file that tell what a loader image is (System V gABI; little-endian only, as x86 is). Pure. */

export interface Section {
  name: string;
  type: number;
  /** Address in memory; 0 for one that is not loaded. */
  addr: number;
  offset: number;
  size: number;
  /** Index of a section that belongs to it, such as the names of a symbol table. */
  link: number;
}

/** One ELF note. */
export interface Note {
  name: string;
  type: number;
  desc: Uint8Array;
}

/** The header and tables of an ELF file. */
export interface Elf {
  bits: 32 | 64;
  machine: 'x86' | 'x86_64' | `machine ${number}`;
  /** ET_EXEC is 2, ET_REL 1, ET_DYN 3. */
  type: number;
  entry: number;
  segments: { type: number; offset: number; vaddr: number; fileSize: number; memSize: number }[];
  sections: Section[];
}

const PT_NOTE = 4;
const SHT_NOTE = 7;
const SHT_NOBITS = 8;

/** Thrown for bytes that are no ELF file or whose tables point outside of it. */
export class NotElf extends Error {}

class Reader {
  private readonly view: DataView;
  readonly length: number;
  constructor(readonlyBytes: Uint8Array) {
    this.view = new DataView(readonlyBytes.buffer, readonlyBytes.byteOffset, readonlyBytes.byteLength);
    this.length = readonlyBytes.byteLength;
  }
  private within(at: number, size: number): void {
    if (!(at >= 0 && at + size <= this.length)) throw new NotElf(`it ends at ${this.length}, but byte ${at} is wanted`);
  }
  u16(at: number): number {
    this.within(at, 2);
    return this.view.getUint16(at, true);
  }
  u32(at: number): number {
    this.within(at, 4);
    return this.view.getUint32(at, true);
  }
  /** A 64-bit value as a number; values past 2^53 lose precision, which only addresses of the kernel half reach. */
  u64(at: number): number {
    this.within(at, 8);
    return Number(this.view.getBigUint64(at, true));
  }
}

/** Whether bytes begin like an ELF file. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** Names end before; without their end each of many would be all that follows. */
const LONGEST_NAME = 1024;

function text(bytes: Uint8Array, at: number): string {
  const piece = bytes.subarray(at, at + LONGEST_NAME);
  const end = piece.indexOf(0);
  return Buffer.from(end < 0 ? piece : piece.subarray(0, end)).toString('latin1');
}

/**
 * Read an ELF file's header and tables.
 * @throws NotElf
 */
export function parseElf(bytes: Uint8Array): Elf {
  if (!isElf(bytes)) throw new NotElf('it does not begin with the ELF magic');
  const wide = bytes[4] === 2;
  if (bytes[4] !== 1 && bytes[4] !== 2) throw new NotElf('its class is neither 32 nor 64 bit');
  if (bytes[5] !== 1) throw new NotElf('it is big-endian');
  const read = new Reader(bytes);
  const word = (at: number) => (wide ? read.u64(at) : read.u32(at));
  const size = wide ? 8 : 4;
  const machine = read.u16(18);
  const entry = word(24);
  const phoff = word(24 + size);
  const shoff = word(24 + 2 * size);
  const rest = 24 + 3 * size + 4;
  const [phentsize, phnum, shentsize, shnum, shstrndx] = [
    read.u16(rest + 2),
    read.u16(rest + 4),
    read.u16(rest + 6),
    read.u16(rest + 8),
    read.u16(rest + 10),
  ];
  const segments: Elf['segments'] = [];
  for (let i = 0; i < phnum; i++) {
    const at = phoff + i * phentsize;
    segments.push(
      wide
        ? {
            type: read.u32(at),
            offset: read.u64(at + 8),
            vaddr: read.u64(at + 16),
            fileSize: read.u64(at + 32),
            memSize: read.u64(at + 40),
          }
        : {
            type: read.u32(at),
            offset: read.u32(at + 4),
            vaddr: read.u32(at + 8),
            fileSize: read.u32(at + 16),
            memSize: read.u32(at + 20),
          },
    );
  }
  const raw: (Section & { nameAt: number })[] = [];
  for (let i = 0; i < shnum; i++) {
    const at = shoff + i * shentsize;
    raw.push({
      name: '',
      nameAt: read.u32(at),
      type: read.u32(at + 4),
      addr: word(at + 8 + size),
      offset: word(at + 8 + 2 * size),
      size: word(at + 8 + 3 * size),
      link: read.u32(at + 8 + 4 * size),
    });
  }
  const names = raw[shstrndx];
  const strings = names ? bytes.subarray(names.offset, names.offset + names.size) : new Uint8Array();
  return {
    bits: wide ? 64 : 32,
    machine: machine === 62 ? 'x86_64' : machine === 3 ? 'x86' : `machine ${machine}`,
    type: read.u16(16),
    entry,
    segments,
    sections: raw.map(({ nameAt, ...section }) => ({ ...section, name: text(strings, nameAt) })),
  };
}

/** The bytes of a section; empty for one without any in the file. */
export function sectionBytes(bytes: Uint8Array, section: Section): Uint8Array {
  if (section.type === SHT_NOBITS) return new Uint8Array();
  if (section.offset + section.size > bytes.length) throw new NotElf(`its section ${section.name} lies outside of it`);
  return bytes.subarray(section.offset, section.offset + section.size);
}

/** All notes of an ELF file: those of its note sections or, where it has none, of its note segments. */
export function elfNotes(bytes: Uint8Array, elf: Elf): Note[] {
  const sections = elf.sections.filter((section) => section.type === SHT_NOTE).map((section) => sectionBytes(bytes, section));
  const areas =
    sections.length > 0
      ? sections
      : elf.segments
          .filter((segment) => segment.type === PT_NOTE)
          .map((segment) => bytes.subarray(segment.offset, segment.offset + segment.fileSize));
  return areas.flatMap(parseNotes);
}

/** Notes of one area; a damaged rest is left out. */
export function parseNotes(area: Uint8Array): Note[] {
  const notes: Note[] = [];
  const read = new Reader(area);
  // Sizes are unsigned: `(length + 3) & ~3` would turn those past 2^31 negative.
  const align = (length: number) => length + (-length & 3);
  for (let at = 0; at + 12 <= area.length; ) {
    const [nameSize, descSize, type] = [read.u32(at), read.u32(at + 4), read.u32(at + 8)];
    const desc = at + 12 + align(nameSize);
    const next = desc + align(descSize);
    if (desc + descSize > area.length) break;
    notes.push({ name: text(area.subarray(at + 12, at + 12 + nameSize), 0), type, desc: area.subarray(desc, desc + descSize) });
    at = next;
  }
  return notes;
}
