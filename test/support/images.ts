import { gzipSync } from 'node:zlib';
import { buildElf, noise, xenNote } from './elf-builder.ts';

/** Stand-ins for images, with the marks that the real ones have and nothing that runs. */

const load = [{ type: 1, section: '.text', vaddr: 0x10_0000 }];
const section = (name: string, data: Buffer, type = 1) => ({ name, type, data });

export interface ImageOptions {
  bits?: 32 | 64;
  os?: string;
  banner?: string;
  loader?: string;
  size?: number;
  debug?: boolean;
  segments?: boolean;
}

/** An ELF image with Xen's notes. */
export function notesImage(options: ImageOptions = {}): Buffer {
  const {
    bits = 64,
    os = 'Mini-OS',
    banner = 'GNU GRUB  version 0.97',
    loader = 'generic',
    size = 200_000,
    debug = false,
    segments = true,
  } = options;
  const notes = Buffer.concat([
    xenNote(6, os),
    xenNote(5, 'xen-3.0'),
    xenNote(8, loader),
    xenNote(1, 0x10_0000n, bits),
    xenNote(2, 0x10_1000n, bits),
  ]);
  const text = Buffer.concat([Buffer.from(`${banner}\0`), noise(size)]);
  const sections = [section('.text', text), section('.note.Xen', notes, 7), ...(debug ? [section('.debug_info', noise(50))] : [])];
  return buildElf({ bits, entry: 0x10_0000, sections, segments: segments ? load : [] });
}

/** A small PV guest that is no loader: Xen starts it at the code that is given. */
export function tinyGuest(code: readonly number[], bits: 32 | 64 = 64): Buffer {
  const notes = Buffer.concat([
    ...[xenNote(6, 'test'), xenNote(5, 'xen-3.0'), xenNote(8, 'generic'), xenNote(9, 'yes')],
    ...[xenNote(3, 0n, bits), xenNote(1, 0x10_0000n, bits), xenNote(2, 0x10_1000n, bits)],
  ]);
  // A page for the code, one for Xen's hypercalls.
  const text = Buffer.concat([Buffer.from(code), Buffer.alloc(2 * 4096 - code.length)]);
  return buildElf({ bits, entry: 0x10_0000, sections: [section('.text', text), section('.note.Xen', notes, 7)], segments: load });
}

/** An older image: no notes, but a section `__xen_guest`. */
export function guestSectionImage(text: string, bits: 32 | 64 = 64): Buffer {
  const code = Buffer.concat([Buffer.from('GNU GRUB\0'), noise(200_000)]);
  return buildElf({ bits, sections: [section('.text', code), section('__xen_guest', Buffer.from(`${text}\0`))], segments: load });
}

/** GRUB 2 for PVH guests: a 32-bit entry, no hypercall page, no system's name. */
export function pvhImage(banner = 'GNU GRUB'): Buffer {
  const text = Buffer.concat([Buffer.from(`${banner}\0`), noise(200_000)]);
  return buildElf({ bits: 32, sections: [section('.text', text), section('.note', xenNote(18, 0x10_0000n, 32), 7)], segments: load });
}

/** Linux as a boot loader on a PC loads it. */
export function bzImage(): Buffer {
  const kernel = noise(200_000);
  kernel.write('HdrS', 0x202, 'latin1');
  return kernel;
}

/** Packed as `gzip -n9` packs, or with a time or a name in the header. */
export function packed(bytes: Uint8Array, header: { mtime?: number; name?: string } = {}): Buffer {
  const file = gzipSync(bytes, { level: 1 });
  file.writeUInt32LE(header.mtime ?? 0, 4);
  if (header.name === undefined) return file;
  file[3] = (file[3] ?? 0) | 8;
  return Buffer.concat([file.subarray(0, 10), Buffer.from(`${header.name}\0`), file.subarray(10)]);
}
