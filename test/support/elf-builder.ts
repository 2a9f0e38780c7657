import { createHash } from 'node:crypto';

/** Makes small ELF files for tests, from the System V gABI; it shares nothing with the reader that it tests. */

export interface BuiltSection {
  name: string;
  /** 1 PROGBITS, 7 NOTE, 8 NOBITS. */
  type: number;
  data: Buffer;
}

export interface ElfSpec {
  bits: 32 | 64;
  /** 3 x86, 62 x86_64; by default what fits the width. */
  machine?: number;
  type?: number;
  entry?: number;
  sections?: BuiltSection[];
  /** Segments that cover a section each: PT_LOAD is 1, PT_NOTE 4. */
  segments?: { type: number; section: string; vaddr?: number }[];
  /** Leave the section table out, as stripped images may. */
  noSectionTable?: boolean;
}

/** One ELF note; name and descriptor padded to four bytes. */
export function note(name: string, type: number, desc: Uint8Array): Buffer {
  const pad = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  const named = Buffer.from(`${name}\0`);
  const head = Buffer.alloc(12);
  head.writeUInt32LE(named.length, 0);
  head.writeUInt32LE(desc.length, 4);
  head.writeUInt32LE(type, 8);
  return Buffer.concat([head, pad(named), pad(Buffer.from(desc))]);
}

/** One of Xen's notes: a text, or a number in the width of the image. */
export function xenNote(type: number, value: string | bigint, bits: 32 | 64 = 64): Buffer {
  if (typeof value === 'string') return note('Xen', type, Buffer.from(`${value}\0`));
  const desc = Buffer.alloc(bits / 8);
  if (bits === 64) desc.writeBigUInt64LE(value);
  else desc.writeUInt32LE(Number(value));
  return note('Xen', type, desc);
}

/** Bytes that no compression makes smaller, the same each time. */
export function noise(size: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 64 < size; i++) blocks.push(createHash('sha512').update(String(i)).digest());
  return Buffer.concat(blocks).subarray(0, size);
}

/** Build an ELF file: header, program headers, sections' bytes, names, section table. */
export function buildElf(spec: ElfSpec): Buffer {
  const wide = spec.bits === 64;
  const [headerSize, programSize, sectionSize] = wide ? [64, 56, 64] : [52, 32, 40];
  const sections = [{ name: '', type: 0, data: Buffer.alloc(0) }, ...(spec.sections ?? [])];
  const names = Buffer.from(`${[...sections.map((section) => section.name), '.shstrtab'].join('\0')}\0`);
  sections.push({ name: '.shstrtab', type: 3, data: names });
  const segments = spec.segments ?? [];
  const word = (buffer: Buffer, value: number, at: number) =>
    wide ? buffer.writeBigUInt64LE(BigInt(value), at) : buffer.writeUInt32LE(value, at);

  let at = headerSize + segments.length * programSize;
  const placed = sections.map((section) => {
    at = (at + 7) & ~7;
    const offset = at;
    if (section.type !== 8) at += section.data.length;
    return { ...section, offset };
  });
  const tableAt = (at + 7) & ~7;
  const file = Buffer.alloc(tableAt + (spec.noSectionTable ? 0 : placed.length * sectionSize));

  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  file.writeUInt16LE(spec.type ?? 2, 16);
  file.writeUInt16LE(spec.machine ?? (wide ? 62 : 3), 18);
  file.writeUInt32LE(1, 20);
  const size = spec.bits / 8;
  word(file, spec.entry ?? 0, 24);
  word(file, segments.length > 0 ? headerSize : 0, 24 + size);
  word(file, spec.noSectionTable ? 0 : tableAt, 24 + 2 * size);
  const counts = [
    headerSize,
    programSize,
    segments.length,
    sectionSize,
    ...(spec.noSectionTable ? [0, 0] : [placed.length, placed.length - 1]),
  ];
  for (const [i, count] of counts.entries()) file.writeUInt16LE(count, 24 + 3 * size + 4 + 2 * i);

  for (const [i, segment] of segments.entries()) {
    const covered = placed.find((section) => section.name === segment.section);
    if (!covered) throw new Error(`no section ${segment.section}`);
    const base = headerSize + i * programSize;
    const { offset, data } = covered;
    const vaddr = segment.vaddr ?? 0;
    file.writeUInt32LE(segment.type, base);
    // Readable, writable, executable: Xen loads no segment that is only read.
    file.writeUInt32LE(7, base + (wide ? 4 : 24));
    // type, flags, offset, vaddr, paddr, filesz, memsz, align; in 32 bits the flags stand before the last.
    if (wide) for (const [k, value] of [offset, vaddr, vaddr, data.length, data.length, 4].entries()) word(file, value, base + 8 + 8 * k);
    else for (const [k, value] of [offset, vaddr, vaddr, data.length, data.length, 4, 4].entries()) word(file, value, base + 4 + 4 * k);
  }
  for (const [i, section] of placed.entries()) {
    if (section.type !== 8) file.set(section.data, section.offset);
    if (spec.noSectionTable) continue;
    const base = tableAt + i * sectionSize;
    file.writeUInt32LE(names.indexOf(`${section.name}\0`), base);
    file.writeUInt32LE(section.type, base + 4);
    word(file, section.offset, base + 8 + 2 * size);
    word(file, section.data.length, base + 8 + 3 * size);
    word(file, 1, base + (wide ? 48 : 32));
  }
  return file;
}
