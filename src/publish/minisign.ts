import { createHash, sign, verify } from 'node:crypto';
import { VerifyError } from '../errors.ts';
import { idBytes, idOf, type PublicKey, type SigningKey } from './key.ts';

/**
 * Signatures in minisign's format (its manual page, "Signature format"): prehashed, BLAKE2b-512 of the file signed with
 * Ed25519, and a second signature over the first one and the trusted comment. Pure.
 */

/** BLAKE2b-512 of a file: what is signed of it. */
export function prehash(file: Uint8Array): Buffer {
  return createHash('blake2b512').update(file).digest();
}

/**
 * Sign a file. The same file, key and comment give the same signature.
 * @param comment one line that verifying shows, and that cannot be changed without the key
 * @returns the content of `<file>.minisig`
 */
export function minisignSignature(file: Uint8Array, key: SigningKey, comment: string): string {
  if (/[\r\n]/.test(comment)) throw new RangeError('a trusted comment is one line');
  const signature = sign(null, prehash(file), key.object);
  const global = sign(null, Buffer.concat([signature, Buffer.from(comment)]), key.object);
  const line = Buffer.concat([Buffer.from('ED'), idBytes(key.public.id), signature]).toString('base64');
  return `untrusted comment: signature by pvgrub-forge, key ${key.public.id}\n${line}\ntrusted comment: ${comment}\n${global.toString('base64')}\n`;
}

/** The parts of a signature. */
interface Parsed {
  /** The key that it says it is by. */
  id: string;
  signature: Buffer;
  comment: string;
  global: Buffer;
}

function parseSignature(text: string, where: string): Parsed {
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const bytes = Buffer.from(lines[1] ?? '', 'base64');
  const global = Buffer.from(lines[3] ?? '', 'base64');
  const comment = /^trusted comment: (.*)$/.exec(lines[2] ?? '')?.[1];
  if (lines.length !== 4 || bytes.length !== 74 || global.length !== 64 || comment === undefined || bytes.toString('latin1', 0, 2) !== 'ED')
    throw new VerifyError('SIGNATURE_INVALID', `${where} is no signature of minisign`, {
      expected: 'four lines, the second one a prehashed signature (ED)',
      hint: 'take it anew from where it is published',
    });
  return { id: idOf(bytes.subarray(2, 10)), signature: bytes.subarray(10), comment, global };
}

/**
 * Check a signature, and its trusted comment.
 * @param hash BLAKE2b-512 of the file ({@link prehash})
 * @param where what to call the signed file in errors
 * @returns the trusted comment
 * @throws VerifyError SIGNATURE_INVALID
 */
export function verifyMinisign(hash: Uint8Array, signature: string, key: PublicKey, where: string): string {
  const parsed = parseSignature(signature, `the signature of ${where}`);
  const wrong = (got: string) =>
    new VerifyError('SIGNATURE_INVALID', `${where} is not signed by this key`, {
      expected: `a signature of these bytes by ${key.id}`,
      got,
      hint: 'it was changed, or is of somebody else: take it, and the key, from where they are published',
    });
  if (parsed.id !== key.id) throw wrong(`a signature by ${parsed.id}`);
  if (!verify(null, hash, key.object, parsed.signature)) throw wrong('a signature of other bytes');
  if (!verify(null, Buffer.concat([parsed.signature, Buffer.from(parsed.comment)]), key.object, parsed.global))
    throw wrong('a trusted comment that was changed');
  return parsed.comment;
}
