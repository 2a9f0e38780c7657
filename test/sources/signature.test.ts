import { beforeAll, describe, expect, test } from 'vitest';
import { checkSignature } from '../../src/sources/signature.ts';
import { makeKey, type TestKey } from '../support/openpgp-key.ts';
import { thrownBy } from '../support/temp-folder.ts';

const data = Buffer.from('a tarball');
let key: TestKey;
let other: TestKey;
beforeAll(async () => {
  [key, other] = await Promise.all([makeKey(), makeKey()]);
});

const check = async (signature: Uint8Array, more: { data?: Uint8Array; file?: Uint8Array | string; fingerprint?: string } = {}) =>
  checkSignature(more.data ?? data, signature, Buffer.from(more.file ?? key.armored), {
    fingerprint: more.fingerprint ?? key.fingerprint,
    name: 'xen.tar.gz',
  });

describe('a signature by the pinned key', () => {
  test.each([false, true])('is taken, armoured: %s', async (armor) => {
    const facts = { key: key.fingerprint, hash: 'sha256', made: '2014-09-02' };
    expect(await check(await key.sign(data, { armor }))).toEqual(facts);
    expect(await check(await key.sign(data, { armor }), { file: key.binary })).toEqual(facts);
  });

  test('is found beside others, in the key file and in the signature', async () => {
    const [own, foreign] = [await key.sign(data), await other.sign(data)];
    for (const file of [`${other.armored}\n${key.armored}`, Buffer.concat([other.binary, key.binary])])
      expect(await check(Buffer.concat([foreign, own]), { file })).toMatchObject({ key: key.fingerprint });
  });

  test('is taken from a key that was signed anew later, as when its expiry is moved', async () => {
    const renewed = await makeKey({ renewed: new Date('2020-01-01T00:00:00Z') });
    const facts = await check(await renewed.sign(data), { file: renewed.armored, fingerprint: renewed.fingerprint });
    expect(facts).toMatchObject({ made: '2014-09-02' });
  });

  test('is taken over SHA-1, and says so', async () => {
    expect(await check(await key.sign(data, { hash: 'sha1' }))).toMatchObject({ hash: 'sha1' });
  });

  test('is taken from a key that has expired since', async () => {
    const old = await makeKey({ expires: 10 * 365 * 24 * 3600 });
    const signature = await old.sign(data);
    expect(await check(signature, { file: old.armored, fingerprint: old.fingerprint })).toMatchObject({ made: '2014-09-02' });
    const late = await old.sign(data, { at: new Date('2024-01-01T00:00:00Z') });
    expect(await thrownBy(() => check(late, { file: old.armored, fingerprint: old.fingerprint }))).toMatchObject({
      code: 'SIGNATURE_INVALID',
      got: expect.stringContaining('expired'),
    });
  });
});

describe('is refused', () => {
  const refused = async (call: () => Promise<unknown>, detail: object = {}) =>
    expect(await thrownBy(call)).toMatchObject({ code: 'SIGNATURE_INVALID', ...detail });

  test('what is signed by another key, even where the key file has that one, too', async () => {
    const signature = await other.sign(data);
    await refused(() => check(signature), { expected: expect.stringContaining(key.fingerprint) });
    await refused(() => check(signature, { file: Buffer.concat([key.binary, other.binary]) }));
    await refused(() => check(signature, { file: `${other.armored}\n${key.armored}` }));
    await refused(() => check(signature, { file: other.armored }), { expected: `key ${key.fingerprint}`, got: `key ${other.fingerprint}` });
  });

  test('what is another file', async () => {
    const signature = await key.sign(data);
    await refused(() => check(signature, { data: Buffer.from('b tarball') }));
    await refused(() => check(signature, { data: Buffer.alloc(0) }));
  });

  test('what is signed as text, which would hold for other line ends, too', async () => {
    const signature = await key.sign(data, { text: true });
    await refused(() => check(signature), { got: expect.stringContaining('not a signature of bytes') });
  });

  test('what is signed over MD5', async () => {
    const signature = await key.sign(data, { hash: 'md5' });
    await refused(() => check(signature), { got: expect.stringContaining('MD5') });
  });

  test('what is no signature, or cut, or damaged in any byte', async () => {
    await refused(() => check(Buffer.from('<html>404</html>')));
    await refused(() => check(Buffer.alloc(0)));
    const whole = await key.sign(data);
    await refused(() => check(whole.subarray(0, 40)));
    for (let at = 0; at < whole.length; at += 7) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      await refused(() => check(damaged));
    }
  });

  test('a key file that holds no key', async () => {
    const signature = await key.sign(data);
    await refused(() => check(signature, { file: 'no key at all' }), { hint: expect.stringContaining(key.fingerprint) });
    await refused(() => check(signature, { file: '' }));
  });
});
