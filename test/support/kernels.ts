import { gzipSync, zstdCompressSync } from 'node:zlib';
import { buildElf, xenNote } from './elf-builder.ts';

/** Kernels with the marks of real ones, and nothing that runs. */

/** An ELF kernel: with Xen's entry for PV, for PVH, both or none. */
export function elfKernel({ bits = 64 as 32 | 64, pv = true, pvh = false } = {}): Buffer {
  const notes = Buffer.concat([
    xenNote(6, 'linux'),
    ...(pv ? [xenNote(2, 0x10_1000n, bits), xenNote(3, 0x10_0000n, bits)] : []),
    ...(pvh ? [xenNote(18, 0x10_0000n, 32)] : []),
  ]);
  return buildElf({
    bits,
    sections: [
      { name: '.text', type: 1, data: Buffer.alloc(64, 0x90) },
      { name: '.notes', type: 7, data: notes },
    ],
    segments: [{ type: 1, section: '.text', vaddr: 0x10_0000 }],
  });
}

/** How payloads begin that are not made here. */
const MARKS: Record<string, string> = {
  xz: '\xfd7zXZ\0',
  bzip2: 'BZh91AY',
  lzma: '\x5d\0\0\x80',
  lzo: '\x89LZO\0\r\n',
  lz4: '\x02\x21\x4c\x18',
};

/** A bzImage (Linux, Documentation/arch/x86/boot.rst) with a kernel packed as is said. */
export function bzImageOf(inner: Buffer, packing: string, { version = '6.1.0-9-amd64', bits = 64, protocol = 0x20f } = {}): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(inner.length);
  const payload =
    packing === 'gzip'
      ? gzipSync(inner)
      : packing === 'zstd'
        ? Buffer.concat([zstdCompressSync(inner), size])
        : packing === 'none'
          ? inner
          : Buffer.concat([Buffer.from(MARKS[packing] ?? '????', 'latin1'), Buffer.alloc(100, 7)]);
  const setup = Buffer.alloc(5 * 512);
  setup[0x1f1] = 4;
  setup.write('HdrS', 0x202, 'latin1');
  setup.writeUInt16LE(protocol, 0x206);
  setup.writeUInt16LE(0x400 - 0x200, 0x20e);
  setup.writeUInt16LE(bits === 64 ? 1 : 0, 0x236);
  setup.writeUInt32LE(0x100, 0x248);
  setup.writeUInt32LE(payload.length, 0x24c);
  setup.write(`${version} (builder@example) #1 SMP`, 0x400, 'latin1');
  return Buffer.concat([setup, Buffer.alloc(0x100), payload]);
}
