import { createHash, sign } from 'node:crypto';
import { idBytes, type SigningKey } from './key.ts';

/**
 * A signature in minisign's format (its manual page, "Signature format"): prehashed, BLAKE2b-512 of the file signed with
 * Ed25519, and a second signature over the first one and the trusted comment. Pure.
 *
 * @param comment one line that verifying shows, and that cannot be changed without the key
 * @returns the content of `<file>.minisig`
 */
export function minisignSignature(file: Uint8Array, key: SigningKey, comment: string): string {
  if (/[\r\n]/.test(comment)) throw new RangeError('a trusted comment is one line');
  const signature = sign(null, createHash('blake2b512').update(file).digest(), key.object);
  const global = sign(null, Buffer.concat([signature, Buffer.from(comment)]), key.object);
  const line = Buffer.concat([Buffer.from('ED'), idBytes(key.public.id), signature]).toString('base64');
  return `untrusted comment: signature by pvgrub-forge, key ${key.public.id}\n${line}\ntrusted comment: ${comment}\n${global.toString('base64')}\n`;
}
