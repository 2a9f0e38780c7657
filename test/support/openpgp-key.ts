import * as openpgp from 'openpgp';

/** An OpenPGP key of the tests' own, and what it signs. */
export interface TestKey {
  /** 40 hex digits, upper case. */
  fingerprint: string;
  armored: string;
  binary: Uint8Array;
  /** A detached signature; over SHA-1 where that is asked for. */
  sign: (data: Uint8Array, options?: { hash?: 'sha1' | 'sha256' | 'md5'; armor?: boolean; at?: Date; text?: boolean }) => Promise<Buffer>;
}

/** Make a key; `expires`: seconds after its time; `renewed`: when its own signatures were made anew. */
export async function makeKey({
  at = new Date('2010-04-07T00:00:00Z'),
  expires = 0,
  renewed,
}: {
  at?: Date;
  expires?: number;
  renewed?: Date;
} = {}): Promise<TestKey> {
  const made = await openpgp.generateKey({
    type: 'rsa',
    rsaBits: 2048,
    userIDs: [{ name: 'A test', email: 'test@example.org' }],
    date: at,
    keyExpirationTime: expires,
    format: 'object',
  });
  const again = { privateKey: made.privateKey, userIDs: [{ name: 'A test' }], format: 'object' as const };
  const { privateKey } = renewed ? await openpgp.reformatKey({ ...again, date: renewed }) : made;
  return {
    fingerprint: privateKey.getFingerprint().toUpperCase(),
    armored: privateKey.toPublic().armor(),
    binary: privateKey.toPublic().write(),
    sign: async (data, { hash = 'sha256', armor = false, at: when = new Date('2014-09-02T12:00:00Z'), text = false } = {}) => {
      const signature = await signed(privateKey, data, openpgp.enums.hash[hash], when, text);
      return armor ? Buffer.from(signature.armor()) : Buffer.from(signature.write());
    },
  };
}

/** The library's own `sign` takes no weak hash, so the packet is made by itself: its types do not know these parameters. */
async function signed(
  key: openpgp.PrivateKey,
  data: Uint8Array,
  hash: openpgp.enums.hash,
  at: Date,
  text: boolean,
): Promise<openpgp.Signature> {
  const packet = new openpgp.SignaturePacket();
  const publicKeyAlgorithm = key.keyPacket.algorithm;
  Object.assign(packet, {
    signatureType: text ? openpgp.enums.signature.text : openpgp.enums.signature.binary,
    publicKeyAlgorithm,
    hashAlgorithm: hash,
  });
  const [literal] = (await openpgp.createMessage({ binary: data })).packets;
  const sign = packet.sign.bind(packet) as (...args: unknown[]) => Promise<void>;
  await sign(key.keyPacket, literal, at, true, { ...openpgp.config, nonDeterministicSignaturesViaNotation: false });
  const list = new openpgp.PacketList<openpgp.SignaturePacket>();
  list.push(packet);
  return new openpgp.Signature(list);
}
