import { isUtf8 } from 'node:buffer';

/** How a text file of a guest or domain is encoded: old ones are not always UTF-8, and must come back as they were. */
export type Encoding = 'utf8' | 'latin1';

/** Text of bytes, in a way that gives the same bytes again. */
export function decoded(bytes: Buffer): { text: string; encoding: Encoding } {
  const encoding = isUtf8(bytes) ? 'utf8' : 'latin1';
  return { text: bytes.toString(encoding), encoding };
}
