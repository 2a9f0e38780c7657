import { createHash, sign } from 'node:crypto';
import type { PublicKey, SigningKey } from './key.ts';

/** Signatures that `ssh-keygen -Y verify` accepts (OpenSSH's PROTOCOL.sshsig), for those who have no minisign. Pure. */

/** What the signature is for: `ssh-keygen -n`. The word for files in OpenSSH's own manual. */
export const SSH_NAMESPACE = 'file';

/** A string of SSH's wire format (RFC 4251, section 5). */
function string(data: string | Uint8Array): Buffer {
  const bytes = Buffer.from(data);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function publicBlob({ bytes }: PublicKey): Buffer {
  return Buffer.concat([string('ssh-ed25519'), string(bytes)]);
}

/** A public key as a line of SSH: `ssh-ed25519 AAAA…`. */
export function sshPublicKey(key: PublicKey): string {
  return `ssh-ed25519 ${publicBlob(key).toString('base64')}`;
}

/** Sign a file. The same file and key give the same signature. @returns the content of `<file>.sig` */
export function sshSignature(file: Uint8Array, key: SigningKey): string {
  const about = Buffer.concat([string(SSH_NAMESPACE), string(''), string('sha512')]);
  const hash = createHash('sha512').update(file).digest();
  const signature = sign(null, Buffer.concat([Buffer.from('SSHSIG'), about, string(hash)]), key.object);
  const version = Buffer.from([0, 0, 0, 1]);
  const wrapped = string(Buffer.concat([string('ssh-ed25519'), string(signature)]));
  const blob = Buffer.concat([Buffer.from('SSHSIG'), version, string(publicBlob(key.public)), about, wrapped]).toString('base64');
  return `-----BEGIN SSH SIGNATURE-----\n${blob.replace(/.{70}(?=.)/g, '$&\n')}\n-----END SSH SIGNATURE-----\n`;
}
