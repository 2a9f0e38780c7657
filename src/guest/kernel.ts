import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { elfNotes, isElf, NotElf, parseElf } from '../inspect/elf.ts';
import { xenGuestSection, xenNotes } from '../inspect/xen.ts';
import type { LoaderKind, Obstacle } from './loader.ts';

/** What a kernel file is, as far as a PV boot loader must know: format, compression, width, whether it runs as a PV or PVH guest. Pure. */

/** What is known of a kernel; what could not be found out is undefined. */
export interface KernelFacts {
  format: 'bzImage' | 'elf' | 'unknown';
  /** How the kernel in it is packed; for an ELF file how the file is. */
  compression: string;
  bits?: 32 | 64;
  /** It starts as a PV guest. */
  pv?: boolean;
  /** It starts as a PVH guest. */
  pvh?: boolean;
  /** The version it tells of itself. */
  version?: string;
  /** Why nothing loads it. */
  fault?: string;
}

/** Unpacked kernels are some ten megabytes; a bomb ends here. */
const MAX_UNPACKED = 160 * 2 ** 20;

/** What packings begin with (Linux, lib/decompress.c). */
const PACKINGS: readonly (readonly [name: string, mark: string])[] = [
  ['none', '\x7fELF'],
  ['gzip', '\x1f\x8b'],
  ['xz', '\xfd7zXZ'],
  ['bzip2', 'BZh'],
  ['lzma', '\x5d\0\0'],
  ['lzo', '\x89LZO'],
  ['lz4', '\x02\x21\x4c\x18'],
  ['zstd', '\x28\xb5\x2f\xfd'],
];

function packingOf(bytes: Buffer): string {
  const start = bytes.toString('latin1', 0, 8);
  return PACKINGS.find(([, mark]) => start.startsWith(mark))?.[0] ?? 'unknown';
}

/** What is in a packing that Node unpacks; undefined for others and for what is damaged. */
function unpacked(bytes: Buffer, packing: string): Uint8Array | undefined {
  const options = { maxOutputLength: MAX_UNPACKED };
  try {
    if (packing === 'none') return bytes;
    if (packing === 'gzip') return gunzipSync(bytes, options);
    if (packing === 'zstd') return zstdDecompressSync(bytes, options);
  } catch {
    return undefined;
  }
  return undefined;
}

/** Width and Xen's entries of an ELF kernel. */
function elfFacts(bytes: Uint8Array): Pick<KernelFacts, 'bits' | 'pv' | 'pvh'> {
  try {
    const elf = parseElf(bytes);
    const notes = xenNotes(elfNotes(bytes, elf));
    const info = Object.keys(notes).length > 0 ? notes : (xenGuestSection(bytes, elf) ?? {});
    const pvh = info['PHYS32_ENTRY'] !== undefined;
    const pv = info['HYPERCALL_PAGE'] !== undefined || info['VIRT_BASE'] !== undefined || info['XEN_VER'] !== undefined;
    return { bits: elf.bits, pv, pvh };
  } catch (error) {
    if (error instanceof NotElf || error instanceof RangeError) return {};
    throw error;
  }
}

/** Linux's boot protocol (Documentation/arch/x86/boot.rst): offsets of its header. */
const HEADER = {
  magic: 0x202,
  setupSectors: 0x1f1,
  protocol: 0x206,
  version: 0x20e,
  xloadflags: 0x236,
  payload: 0x248,
  payloadSize: 0x24c,
} as const;

function bzImage(bytes: Buffer): KernelFacts {
  const protocol = bytes.readUInt16LE(HEADER.protocol);
  const at = bytes.readUInt16LE(HEADER.version) + 0x200;
  const version = /^[\x21-\x7e]{1,200}/.exec(bytes.toString('latin1', at, at + 200))?.[0];
  const named = version === undefined ? {} : { version };
  if (protocol < 0x208)
    return {
      format: 'bzImage',
      compression: 'unknown',
      ...named,
      fault: 'its boot protocol is older than 2.08: no PV loader can take the kernel out of it',
    };
  const start = ((bytes[HEADER.setupSectors] || 4) + 1) * 512 + bytes.readUInt32LE(HEADER.payload);
  const payload = bytes.subarray(start, start + bytes.readUInt32LE(HEADER.payloadSize));
  const compression = packingOf(payload);
  // From protocol 2.12 on a bit says that it is a 64-bit kernel.
  const bits = protocol >= 0x20c ? ({ bits: bytes.readUInt16LE(HEADER.xloadflags) & 1 ? 64 : 32 } as const) : {};
  // The size of what is in it follows, but for gzip, which has it anyway.
  const inner = unpacked(compression === 'zstd' ? payload.subarray(0, -4) : payload, compression);
  return { format: 'bzImage', compression, ...bits, ...named, ...(inner && isElf(inner) ? elfFacts(inner) : {}) };
}

/** What a kernel's `config-<version>` says, where the kernel itself cannot be unpacked here. */
export function configFacts(text: string): Pick<KernelFacts, 'bits' | 'pv' | 'pvh'> {
  const has = (name: string) => new RegExp(`^CONFIG_${name}=y$`, 'm').test(text);
  if (!has('X86')) return {};
  return { bits: has('64BIT') ? 64 : 32, pv: has('XEN_PV') || (has('XEN') && !/XEN_PV\b/.test(text)), pvh: has('PVH') || has('XEN_PVH') };
}

/**
 * What a kernel file is. Never throws for what is in it.
 */
export function kernelFacts(bytes: Buffer): KernelFacts {
  if (bytes.length > 0x250 && bytes.toString('latin1', HEADER.magic, HEADER.magic + 4) === 'HdrS') return bzImage(bytes);
  const compression = packingOf(bytes);
  const inner = unpacked(bytes, compression);
  if (inner && isElf(inner)) return { format: 'elf', compression, ...elfFacts(inner) };
  return { format: 'unknown', compression, fault: 'it is neither a bzImage nor an ELF file' };
}

const FROM_4_3 = 'take pv-grub of Xen 4.3 or later: pv-grub is not tied to the Xen that runs; or a kernel with CONFIG_KERNEL_GZIP';
/** From which loader on a packing is read (catalog/reads.json, recipes). */
const FOR_PACKING: Record<string, string> = {
  zstd: 'take pv-grub of Xen 4.15 or later, or pvgrub2 of 2.14; or a kernel with CONFIG_KERNEL_XZ or GZIP',
  lz4: 'take pv-grub of Xen 4.4 or later; or a kernel with CONFIG_KERNEL_XZ or GZIP',
  ...Object.fromEntries(['xz', 'bzip2', 'lzma', 'lzo'].map((name) => [name, FROM_4_3])),
};

/** What of a kernel stands in a loader's way. */
export function kernelObstacle(loader: LoaderKind, kernel: KernelFacts): Obstacle | undefined {
  const { arch } = loader;
  const { bits, compression, format } = kernel;
  if (kernel.fault !== undefined) return { what: kernel.fault, hint: 'name a Linux kernel: vmlinuz-<version>' };
  if (arch === 'x86_32_pvh') {
    if (format !== 'bzImage') return { what: 'GRUB for PVH boots a bzImage, and this is none', hint: 'use a loader for PV' };
    return kernel.pvh === false
      ? { what: 'it is built without PVH (CONFIG_PVH)', hint: 'use a loader for PV, or another kernel' }
      : undefined;
  }
  const wanted = arch === 'x86_64' ? 64 : 32;
  if (bits !== undefined && bits !== wanted)
    return {
      what: `it is a ${bits}-bit kernel, and a loader boots only its own width`,
      hint: `take the loader for ${bits === 64 ? 'x86_64' : 'x86_32'}`,
    };
  if (kernel.pv === false)
    return { what: 'it is built without Xen PV (CONFIG_XEN_PV)', hint: kernel.pvh ? 'use pvgrub2 for PVH (x86_32_pvh)' : 'another kernel' };
  if (loader.reads && compression !== 'unknown' && !loader.reads.kernelCompressions.includes(compression)) {
    return {
      what: `it is packed with ${compression}, which this loader cannot unpack (it knows ${loader.reads.kernelCompressions.join(', ')})`,
      hint: FOR_PACKING[compression] ?? 'use a newer loader',
    };
  }
  return undefined;
}
