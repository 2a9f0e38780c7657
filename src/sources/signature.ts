import { SourceError } from '../errors.ts';

/** What a good signature says. */
export interface SignatureFacts {
  /** Fingerprint of the primary key, 40 hex digits. */
  key: string;
  /** The signature's hash, in OpenPGP's spelling: sha1, sha256, sha512. */
  hash: string;
  /** Day on which it was made, ISO 8601. */
  made: string;
}

/** Text as it may be armoured, or bytes. */
const isArmored = (data: Uint8Array) => Buffer.from(data.subarray(0, 64)).toString('latin1').trimStart().startsWith('-----BEGIN PGP');

/**
 * Check a detached OpenPGP signature (RFC 9580) with a key that must have the fingerprint given: whoever gave the key
 * file need not be believed. Old releases are signed over SHA-1; that is taken from this one key, because forging needs
 * a second preimage, or the key. What expires is judged at the signature's own time.
 *
 * @param key the public key file, armoured or binary; it may hold other keys beside
 * @param fingerprint of the primary key, 40 hex digits, upper case
 * @param name what to call the signed file in errors
 * @throws SourceError SIGNATURE_INVALID
 */
export async function checkSignature(
  data: Uint8Array,
  signature: Uint8Array,
  key: Uint8Array,
  { fingerprint, name }: { fingerprint: string; name: string },
): Promise<SignatureFacts> {
  const openpgp = await import('openpgp');
  const refuse = (message: string, detail: { expected?: string; got?: string; hint?: string; cause?: unknown } = {}) =>
    new SourceError('SIGNATURE_INVALID', message, { hint: 'do not use this tarball; take another origin', ...detail });
  const blocks = isArmored(key)
    ? Buffer.from(key)
        .toString('latin1')
        .split(/(?=-----BEGIN PGP)/)
    : undefined;
  const read = async () =>
    blocks
      ? (await Promise.all(blocks.map((armoredKeys) => openpgp.readKeys({ armoredKeys })))).flat()
      : openpgp.readKeys({ binaryKeys: key });
  const keys = await read().catch((error: Error) => {
    throw refuse(`the key file holds no OpenPGP key: ${error.message}`, {
      hint: `give a file that holds the key ${fingerprint}`,
      cause: error,
    });
  });
  const pinned = keys.find((one) => one.getFingerprint().toUpperCase() === fingerprint);
  if (!pinned) {
    throw refuse('the key file does not hold the key that is pinned', {
      expected: `key ${fingerprint}`,
      got: keys.map((one) => `key ${one.getFingerprint().toUpperCase()}`).join(', '),
      hint: 'get the key that the catalog names, from a place that you trust',
    });
  }
  const parsed = await (isArmored(signature)
    ? openpgp.readSignature({ armoredSignature: Buffer.from(signature).toString('latin1') })
    : openpgp.readSignature({ binarySignature: signature })
  ).catch((error: Error) => {
    throw refuse(`the signature of ${name} is not an OpenPGP signature: ${error.message}`, { cause: error });
  });
  const { enums } = openpgp;
  const { signatures } = await openpgp.verify({
    message: await openpgp.createMessage({ binary: data }),
    signature: parsed,
    verificationKeys: pinned,
    config: {
      rejectMessageHashAlgorithms: new Set([enums.hash.md5, enums.hash.ripemd]),
      // A key's own signatures are made anew when its expiry is moved: an older release is none the worse.
      allowInsecureVerificationWithReformattedKeys: true,
    },
  });
  const reasons: string[] = [];
  for (const { verified, signature: made } of signatures) {
    try {
      await verified;
      const packet = (await made).packets[0];
      // One over text would hold for other line ends, too.
      if (packet?.signatureType !== enums.signature.binary) throw new Error('not a signature of bytes');
      const day = packet?.created?.toISOString().slice(0, 10) ?? '';
      return { key: fingerprint, hash: hashName(enums.hash, packet?.hashAlgorithm), made: day };
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  throw refuse(`the signature of ${name} is not one of these bytes by the pinned key`, {
    expected: `a signature by ${fingerprint}`,
    got: reasons.join('; ') || 'no signature',
  });
}

/** The name of a hash algorithm's number. */
function hashName(hashes: object, algorithm: number | null | undefined): string {
  return Object.entries(hashes).find(([, number]) => number === algorithm)?.[0] ?? `algorithm ${algorithm}`;
}
