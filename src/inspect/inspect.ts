import { gunzipSync } from 'node:zlib';
import { OutputError } from '../errors.ts';
import type { Arch, Loader } from '../recipes/types.ts';
import { sha256 } from '../util/hash.ts';
import { type Elf, elfNotes, isElf, NotElf, parseElf } from './elf.ts';
import { type XenInfo, xenGuestSection, xenNotes } from './xen.ts';

/** The header of a gzip file (RFC 1952). */
export interface GzipHeader {
  /** Seconds since 1970 that the header carries; 0 for none. */
  mtime: number;
  /** The original file name it carries, if any. */
  name: string | undefined;
}

/** What an image is, as far as its bytes tell. */
export interface Inspection {
  size: number;
  sha256: string;
  gzip: GzipHeader | undefined;
  kind: 'pv-grub' | 'pvgrub2' | 'mini-os' | 'linux' | 'xen guest' | 'elf' | 'unknown';
  /** For people: one line. */
  summary: string;
  elf?: { bits: 32 | 64; machine: string; entry: string; loadSegments: number; debugSections: boolean; size: number };
  xen?: { from: 'notes' | '__xen_guest'; info: XenInfo };
  /** The arch of cells that this image would fit. */
  arch?: Arch;
}

/** Images are some hundred kB; a gzip bomb ends here. */
export const MAX_UNPACKED = 256 * 2 ** 20;

/** Read a gzip header; undefined where the bytes do not begin with one. */
export function gzipHeader(bytes: Uint8Array): GzipHeader | undefined {
  if (bytes.length < 18 || bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8) return undefined;
  const flags = bytes[3] as number;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 10;
  if (flags & 4) at += 2 + buffer.readUInt16LE(at);
  const name = flags & 8 ? buffer.subarray(at, buffer.indexOf(0, at)).toString('latin1') : undefined;
  return { mtime: buffer.readUInt32LE(4), name };
}

/**
 * Look at the bytes of a file: a loader image, a kernel, or anything else. Never throws for bad bytes: says what it is.
 */
export function inspectImage(bytes: Uint8Array): Inspection {
  const gzip = gzipHeader(bytes);
  const base = { size: bytes.length, sha256: sha256(bytes), gzip };
  const unknown = (summary: string): Inspection => ({ ...base, kind: 'unknown', summary });
  let content = bytes;
  if (gzip) {
    try {
      content = gunzipSync(bytes, { maxOutputLength: MAX_UNPACKED });
    } catch (error) {
      return unknown(`a damaged gzip file (${(error as Error).message})`);
    }
  }
  if (!isElf(content)) {
    // The Linux boot protocol: "HdrS" at 0x202 of a bzImage.
    if (Buffer.from(content.subarray(0x202, 0x206)).toString('latin1') === 'HdrS')
      return { ...base, kind: 'linux', summary: 'a Linux kernel (bzImage), not a loader' };
    return unknown(content.length === 0 ? 'an empty file' : 'neither an ELF file nor a Linux kernel');
  }
  try {
    return { ...base, ...inspectElf(content) };
  } catch (error) {
    if (error instanceof NotElf || error instanceof RangeError) return unknown(`a damaged ELF file: ${error.message}`);
    throw error;
  }
}

function inspectElf(content: Uint8Array): Omit<Inspection, 'size' | 'sha256' | 'gzip'> {
  const elf = parseElf(content);
  const notes = xenNotes(elfNotes(content, elf));
  const section = xenGuestSection(content, elf);
  const xen: Inspection['xen'] =
    Object.keys(notes).length > 0 ? { from: 'notes', info: notes } : section ? { from: '__xen_guest', info: section } : undefined;
  const kind = kindOf(content, xen?.info);
  const arch = archOf(elf, xen?.info);
  const facts = {
    bits: elf.bits,
    machine: elf.machine,
    entry: `0x${elf.entry.toString(16)}`,
    loadSegments: elf.segments.filter((segment) => segment.type === 1).length,
    debugSections: elf.sections.some((entry) => entry.name.startsWith('.debug_')),
    size: content.length,
  };
  const names: Record<Inspection['kind'], string> = {
    'pv-grub': 'PV-GRUB',
    pvgrub2: "GRUB 2's Xen port",
    'mini-os': 'a Mini-OS stub domain without GRUB',
    linux: 'a Linux kernel, not a loader',
    'xen guest': 'a Xen guest that is not a loader',
    elf: 'an ELF file without anything of Xen',
    unknown: 'unknown',
  };
  const width = elf.machine === 'x86' || elf.machine === 'x86_64' ? `${elf.bits}-bit ${elf.machine}` : elf.machine;
  return {
    kind,
    summary: `${names[kind]}, ${width}${arch === 'x86_32_pvh' ? ', PVH' : ''}`,
    elf: facts,
    ...(xen ? { xen } : {}),
    ...(arch ? { arch } : {}),
  };
}

function kindOf(content: Uint8Array, info: XenInfo | undefined): Inspection['kind'] {
  if (info === undefined) return 'elf';
  const os = info['GUEST_OS'];
  if (os !== undefined && /^linux$/i.test(os)) return 'linux';
  // Other stub domains are Mini-OS too, and GRUB's PVH image does not name its system: GRUB's own banner tells.
  const grub = Buffer.from(content.buffer, content.byteOffset, content.byteLength).includes('GNU GRUB');
  if (os === 'Mini-OS') return grub ? 'pv-grub' : 'mini-os';
  if (os === 'GRUB' || (os === undefined && info['PHYS32_ENTRY'] !== undefined && grub)) return 'pvgrub2';
  return 'xen guest';
}

function archOf(elf: Elf, info: XenInfo | undefined): Arch | undefined {
  if (elf.bits === 64 && elf.machine === 'x86_64') return 'x86_64';
  if (elf.bits !== 32 || elf.machine !== 'x86') return undefined;
  // A PVH image has its 32-bit entry and no PV entry.
  return info?.['PHYS32_ENTRY'] !== undefined && info['HYPERCALL_PAGE'] === undefined ? 'x86_32_pvh' : 'x86_32';
}

/**
 * Check that an image is what its cell promises: the loader, the width, an executable with load segments and Xen's
 * own marks, no time and no name in the gzip header, no debug information, not far from the usual size.
 * @throws OutputError INSPECT_FAILED that names every point
 */
export function demandImage(inspection: Inspection, cell: { loader: Loader; arch: Arch; id: string }): void {
  const faults: string[] = [];
  if (inspection.kind !== cell.loader) faults.push(`it is ${inspection.summary}`);
  if (inspection.elf) {
    if (inspection.arch !== cell.arch) faults.push(`it is made for ${inspection.arch ?? inspection.elf.machine}, not for ${cell.arch}`);
    if (inspection.elf.loadSegments === 0) faults.push('it has nothing to load');
    if (inspection.elf.debugSections) faults.push('it carries debug information');
    if (inspection.xen && inspection.xen.info['LOADER'] !== undefined && inspection.xen.info['LOADER'] !== 'generic')
      faults.push(`its LOADER is ${inspection.xen.info['LOADER']}, not generic`);
  }
  if (cell.loader === 'pv-grub' && inspection.gzip === undefined) faults.push('it is not compressed with gzip');
  if (inspection.gzip && (inspection.gzip.mtime !== 0 || inspection.gzip.name !== undefined))
    faults.push('its gzip header carries a time or a name');
  if (inspection.size < 100_000 || inspection.size > 8_000_000) faults.push(`its size of ${inspection.size} bytes is not that of a loader`);
  if (faults.length > 0) {
    throw new OutputError('INSPECT_FAILED', `the image of ${cell.id} is not what it should be: ${faults.join('; ')}`, {
      expected: `${cell.loader} for ${cell.arch}`,
      got: inspection.summary,
      hint: 'build with --debug to keep the log: it tells what was linked',
    });
  }
}
