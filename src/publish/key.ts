import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { UsageError } from '../errors.ts';

/** Ed25519 keys (RFC 8032) that sign what we publish. Pure. */

/** A public key. */
export interface PublicKey {
  object: KeyObject;
  /** The 32 bytes of RFC 8032. */
  bytes: Buffer;
  /** Eight bytes that name the key, as 16 upper-case hex digits in the order that minisign shows them. */
  id: string;
}

/** A private key, and its public half. */
export interface SigningKey {
  object: KeyObject;
  public: PublicKey;
}

/** The public key with these 32 bytes. Our keys are named by the first eight bytes of their SHA-256. */
function publicKey(bytes: Uint8Array, id = idOf(createHash('sha256').update(bytes).digest().subarray(0, 8))): PublicKey {
  const x = Buffer.from(bytes).toString('base64url');
  return { object: createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } }), bytes: Buffer.from(bytes), id };
}

/** A key's name from its eight bytes: a little-endian number to minisign. */
export function idOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).reverse().toString('hex').toUpperCase();
}

/** Make a key. */
export function newKey(): SigningKey {
  return halves(generateKeyPairSync('ed25519').privateKey);
}

function halves(object: KeyObject): SigningKey {
  const { x } = createPublicKey(object).export({ format: 'jwk' });
  return { object, public: publicKey(Buffer.from(x as string, 'base64url')) };
}

/** A private key as PKCS #8 in PEM (RFC 5958, RFC 7468), encrypted with AES-256 under a passphrase. */
export function encryptedPem(key: SigningKey, passphrase: string): string {
  return key.object.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }) as string;
}

/** Whether a private key in PEM wants a passphrase. */
export function isEncrypted(pem: string): boolean {
  return pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----');
}

/**
 * Read a private key in PEM.
 * @param where what to call it in errors; nothing of the text is repeated in them
 * @throws UsageError KEY_INVALID where it is no Ed25519 key, or the passphrase is not its own
 */
export function parseSigningKey(pem: string, passphrase: string | undefined, where: string): SigningKey {
  let object: KeyObject;
  try {
    object = createPrivateKey({ key: pem, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
  } catch {
    throw new UsageError(
      'KEY_INVALID',
      isEncrypted(pem) ? `the passphrase does not open ${where}` : `${where} is no private key in PEM (PKCS #8)`,
      { hint: 'pvgrub key generate --out <file> makes one; PVGRUB_KEY_PASSPHRASE or the terminal gives its passphrase' },
    );
  }
  if (object.asymmetricKeyType !== 'ed25519')
    throw new UsageError('KEY_INVALID', `${where} is a key of another kind`, {
      expected: 'ed25519',
      got: String(object.asymmetricKeyType),
      hint: 'pvgrub key generate --out <file> makes one',
    });
  return halves(object);
}

/** A public key as minisign has it in a file: two lines. */
export function publicKeyText(key: PublicKey): string {
  return `untrusted comment: minisign public key ${key.id}\n${publicKeyLine(key)}\n`;
}

/** The second line alone, which minisign takes after -P. */
export function publicKeyLine({ bytes, id }: PublicKey): string {
  return Buffer.concat([Buffer.from('Ed'), idBytes(id), bytes]).toString('base64');
}

/** The eight bytes of a key's name, as minisign's files have them. */
export function idBytes(id: string): Buffer {
  return Buffer.from(id, 'hex').reverse();
}

/**
 * Read a public key of minisign: the file, or its second line alone.
 * @throws UsageError KEY_INVALID
 */
export function parsePublicKey(text: string, where: string): PublicKey {
  const line = text.trim().split('\n').at(-1)?.trim() ?? '';
  const bytes = Buffer.from(line, 'base64');
  if (!/^[A-Za-z0-9+/]{56}$/.test(line) || bytes.toString('latin1', 0, 2) !== 'Ed')
    throw new UsageError('KEY_INVALID', `${where} is no public key of minisign`, {
      expected: 'two lines, the second with 56 characters that begin with RW',
      hint: 'pvgrub key show <private key> prints the public half',
    });
  return publicKey(bytes.subarray(10), idOf(bytes.subarray(2, 10)));
}
