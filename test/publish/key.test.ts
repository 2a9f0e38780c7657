import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encryptedPem, newKey, parsePublicKey, parseSigningKey, publicKeyLine, publicKeyText } from '../../src/publish/key.ts';
import { generateKey, loadPublicKey, loadSigningKey } from '../../src/publish/key-files.ts';
import { minisignSignature } from '../../src/publish/minisign.ts';
import { hasJudge } from '../support/judges.ts';
import { tempFolder } from '../support/tar-maker.ts';

const nobody = async () => undefined;
const env = { PVGRUB_KEY_PASSPHRASE: 'correct horse' };
const code = (name: string) => expect.objectContaining({ code: name });

describe('a key', () => {
  test('is written encrypted for its owner alone, its public half beside it, and never over another', async () => {
    const file = join(tempFolder(), 'key');
    const key = await generateKey(file, env, nobody);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    expect(readFileSync(`${file}.pub`, 'utf8')).toBe(publicKeyText(key));
    const before = readFileSync(file, 'utf8');
    await expect(generateKey(file, env, nobody)).rejects.toEqual(code('FILE_THERE'));
    expect(readFileSync(file, 'utf8')).toBe(before);
    const other = join(tempFolder(), 'key');
    writeFileSync(`${other}.pub`, 'mine');
    await expect(generateKey(other, env, nobody)).rejects.toEqual(code('FILE_THERE'));
    expect(existsSync(other)).toBe(false);
  });

  test('that cannot be written whole is not written at all', async () => {
    const file = join(tempFolder(), 'no-such-folder/key');
    await expect(generateKey(file, env, nobody)).rejects.toEqual(code('FILE_UNREADABLE'));
  });

  test('is opened by its passphrase alone; nothing of it is in the errors', async () => {
    const file = join(tempFolder(), 'key');
    const { id } = await generateKey(file, env, nobody);
    const load = (given: NodeJS.ProcessEnv, ask = nobody as (question: string) => Promise<string | undefined>) =>
      loadSigningKey(file, given, ask, () => {});
    expect((await load(env)).public.id).toBe(id);
    expect((await load({}, async () => 'correct horse')).public.id).toBe(id);
    const wrong = await load({ PVGRUB_KEY_PASSPHRASE: 'wrong horse' }).catch((error: Error) => error);
    expect(wrong).toEqual(code('KEY_INVALID'));
    expect(JSON.stringify(wrong)).not.toContain('horse');
    await expect(load({})).rejects.toEqual(code('KEY_MISSING'));
  });

  test('comes from the environment where no file is given, also without a passphrase of its own', async () => {
    const key = newKey();
    const plain = key.object.export({ type: 'pkcs8', format: 'pem' }) as string;
    expect((await loadSigningKey(undefined, { PVGRUB_KEY: plain }, nobody, () => {})).public.id).toBe(key.public.id);
    const locked = { PVGRUB_KEY: encryptedPem(key, 'p'), PVGRUB_KEY_PASSPHRASE: 'p' };
    expect((await loadSigningKey(undefined, locked, nobody, () => {})).public.id).toBe(key.public.id);
    await expect(loadSigningKey(undefined, {}, nobody, () => {})).rejects.toEqual(code('KEY_MISSING'));
    const broken = await loadSigningKey(undefined, { PVGRUB_KEY: 'secret words' }, nobody, () => {}).catch((error: Error) => error);
    expect(broken).toEqual(code('KEY_INVALID'));
    expect(JSON.stringify(broken)).not.toContain('secret');
  });

  test('wants a new passphrase twice, and a passphrase at all', async () => {
    const answers = ['one', 'two'];
    await expect(generateKey(join(tempFolder(), 'key'), {}, async () => answers.shift())).rejects.toEqual(code('KEY_INVALID'));
    await expect(generateKey(join(tempFolder(), 'key'), {}, nobody)).rejects.toEqual(code('KEY_MISSING'));
  });

  test('that others may read is told', async () => {
    const file = join(tempFolder(), 'key');
    await generateKey(file, env, nobody);
    const warned: string[] = [];
    const load = () => loadSigningKey(file, env, nobody, (text) => warned.push(text));
    await load();
    expect(warned).toEqual([]);
    chmodSync(file, 0o644);
    await load();
    expect(warned).toEqual([expect.stringContaining('chmod 600')]);
  });

  test('of another kind is refused', () => {
    const pem = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    expect(() => parseSigningKey(pem, undefined, 'it')).toThrow(expect.objectContaining({ code: 'KEY_INVALID', got: 'rsa' }));
  });
});

describe('a public key', () => {
  test('is read from its file and from its line, and verifies what the private half signed', async () => {
    const key = newKey();
    const file = join(tempFolder(), 'key.pub');
    writeFileSync(file, publicKeyText(key.public));
    for (const given of [file, publicKeyLine(key.public)]) {
      const read = await loadPublicKey(given);
      expect(read.id).toBe(key.public.id);
      expect(verify(null, Buffer.from('text'), read.object, sign(null, Buffer.from('text'), key.object))).toBe(true);
    }
  });

  test('that is none is refused, whatever it is', () => {
    fc.assert(fc.property(fc.string(), (text) => void expect(() => parsePublicKey(text, 'it')).toThrow(code('KEY_INVALID'))));
    const key = newKey();
    for (const text of [publicKeyLine(key.public).slice(0, -1), `${publicKeyText(key.public)}more`, encryptedPem(key, 'p')])
      expect(() => parsePublicKey(text, 'it')).toThrow(code('KEY_INVALID'));
  });
});

describe.skipIf(!hasJudge('minisign'))('minisign', () => {
  const folder = tempFolder();
  const key = newKey();
  const file = join(folder, 'image.gz');
  writeFileSync(file, Buffer.from([0, 1, 2, 255]));
  writeFileSync(join(folder, 'key.pub'), publicKeyText(key.public));
  writeFileSync(`${file}.minisig`, minisignSignature(readFileSync(file), key, 'file:image.gz version:4.17.5'));
  const minisign = (...args: string[]) => judged(file, ...args);
  const judged = (what: string, ...args: string[]) =>
    execFileSync('minisign', ['-V', '-m', what, ...args], { encoding: 'utf8', stdio: 'pipe' });

  test('accepts our signature with our public key, as a file and as a line, and shows the comment', () => {
    expect(minisign('-p', join(folder, 'key.pub'))).toContain('Trusted comment: file:image.gz version:4.17.5');
    expect(minisign('-P', publicKeyLine(key.public))).toContain('Signature and comment signature verified');
  });

  test('refuses another file, another comment and another key', () => {
    const wrong = join(folder, 'wrong.gz');
    writeFileSync(wrong, 'wrong');
    expect(() => judged(wrong, '-p', join(folder, 'key.pub'), '-x', `${file}.minisig`)).toThrow(/verification failed/);
    writeFileSync(join(folder, 'changed'), readFileSync(`${file}.minisig`, 'utf8').replace('4.17.5', '4.17.6'));
    expect(() => minisign('-p', join(folder, 'key.pub'), '-x', join(folder, 'changed'))).toThrow(/verification failed/);
    expect(() => minisign('-P', publicKeyLine(newKey().public))).toThrow(/key id|verif/i);
  });

  test('makes keys whose public half we read, by the name that it gives them', () => {
    execFileSync('minisign', ['-G', '-W', '-p', join(folder, 'its.pub'), '-s', join(folder, 'its.key')], { stdio: 'pipe' });
    const text = readFileSync(join(folder, 'its.pub'), 'utf8');
    // It prints a number, without zeros in front.
    expect(text).toContain(parsePublicKey(text, 'its').id.replace(/^0+/, ''));
  });
});
