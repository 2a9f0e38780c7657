import { crc32 } from 'node:zlib';

/** The module (initial RAM disk) that guests get: noise with a long run of zeros, which mke2fs makes a hole of. Whole pages, because some loaders round its length up to them. */
export const MODULE: Buffer = makeModule();

function makeModule(): Buffer {
  const bytes = Buffer.alloc(48 * 4096);
  // A linear congruential generator: the same noise every time.
  let state = 1;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes.fill(0, 8 * 4096, 32 * 4096);
}

/** CRC-32 as the test guest prints it: eight hexadecimal digits. */
export function crcText(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0');
}
