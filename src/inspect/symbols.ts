import { type Elf, NotElf, sectionBytes } from './elf.ts';

/** The symbol table of an ELF file (System V gABI, "Symbol Table"). Pure. */

/** A symbol that has a place in a section. */
export interface ElfSymbol {
  name: string;
  /** Address, or offset where the file is not linked. */
  value: number;
  size: number;
  /** Index of its section. */
  section: number;
}

const SHT_SYMTAB = 2;
/** Section indices from here on are no sections. */
const SHN_LORESERVE = 0xff00;
/** A symbol's type, in the lower half of st_info, that names a section itself or a source file. */
const NAMELESS = new Set([3, 4]);

/** The symbols of an ELF file, sorted by value; none where it was stripped. @throws NotElf where its table lies outside of it */
export function elfSymbols(bytes: Uint8Array, elf: Elf): ElfSymbol[] {
  const table = elf.sections.find(({ type }) => type === SHT_SYMTAB);
  const strings = table && elf.sections[table.link];
  if (!table || !strings) return [];
  const view = Buffer.from(sectionBytes(bytes, table));
  const names = Buffer.from(sectionBytes(bytes, strings));
  const wide = elf.bits === 64;
  const entry = wide ? 24 : 16;
  const symbols: ElfSymbol[] = [];
  for (let at = 0; at + entry <= view.length; at += entry) {
    const info = view.readUInt8(at + (wide ? 4 : 12));
    const section = view.readUInt16LE(at + (wide ? 6 : 14));
    const nameAt = view.readUInt32LE(at);
    if (section === 0 || section >= SHN_LORESERVE || NAMELESS.has(info & 15)) continue;
    if (nameAt >= names.length) throw new NotElf('a symbol has its name outside of the table of names');
    const end = names.subarray(nameAt, nameAt + 1024).indexOf(0);
    symbols.push({
      name: names.toString('latin1', nameAt, nameAt + (end < 0 ? 1024 : end)),
      value: wide ? Number(view.readBigUInt64LE(at + 8)) : view.readUInt32LE(at + 4),
      size: wide ? Number(view.readBigUInt64LE(at + 16)) : view.readUInt32LE(at + 8),
      section,
    });
  }
  return symbols.sort((a, b) => a.value - b.value);
}

/**
 * The symbol that a place in a section belongs to: the last one that begins at or before it, with the distance, and whether it lies inside.
 * @param symbols sorted by value
 */
export function symbolAt(
  symbols: readonly ElfSymbol[],
  section: number,
  address: number,
): { name: string; offset: number; inside: boolean } | undefined {
  const found = symbols.findLast((symbol) => symbol.section === section && symbol.value <= address);
  if (!found) return undefined;
  const offset = address - found.value;
  // Those that assemblers make have no size.
  return { name: found.name, offset, inside: found.size === 0 || offset < found.size };
}
