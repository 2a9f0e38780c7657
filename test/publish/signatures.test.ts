import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newKey, parsePublicKey, publicKeyText } from '../../src/publish/key.ts';
import { minisignSignature, prehash, verifyMinisign } from '../../src/publish/minisign.ts';
import { sshPublicKey, sshSignature } from '../../src/publish/sshsig.ts';
import { hasJudge } from '../support/judges.ts';
import { tempFolder } from '../support/temp-folder.ts';

const key = newKey();
const bytes = Buffer.from('some image');

describe('a signature of minisign', () => {
  const signature = minisignSignature(bytes, key, 'file:image.gz version:4.17.5');

  test('is verified, and gives its comment', () => {
    expect(verifyMinisign(prehash(bytes), signature, key.public, 'it')).toBe('file:image.gz version:4.17.5');
    expect(verifyMinisign(prehash(bytes), signature.replaceAll('\n', '\r\n'), key.public, 'it')).toBe('file:image.gz version:4.17.5');
  });

  test('with any character of it changed, but in its first line, is refused', () => {
    const start = signature.indexOf('\n') + 1;
    fc.assert(
      fc.property(fc.integer({ min: start, max: signature.length - 2 }), fc.integer({ min: 32, max: 126 }), (at, code) => {
        const changed = `${signature.slice(0, at)}${String.fromCharCode(code)}${signature.slice(at + 1)}`;
        // The last character of base64 before "=" has bits that mean nothing.
        const same = (text: string) =>
          text
            .split('\n')
            .map((line, i) => (i % 2 ? Buffer.from(line, 'base64').toString('hex') : line))
            .join('\n');
        fc.pre(same(changed) !== same(signature));
        expect(() => verifyMinisign(prehash(bytes), changed, key.public, 'it')).toThrow(
          expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
        );
      }),
    );
  });

  test('that is any other text, of other bytes, or by another key is refused', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => verifyMinisign(prehash(bytes), text, key.public, 'it')).toThrow(
          expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
        );
      }),
    );
    const refused = expect.objectContaining({ code: 'SIGNATURE_INVALID' });
    expect(() => verifyMinisign(prehash(Buffer.from('other')), signature, key.public, 'it')).toThrow(refused);
    expect(() => verifyMinisign(prehash(bytes), signature, newKey().public, 'it')).toThrow(refused);
  });

  test.skipIf(!hasJudge('minisign'))('that minisign has made is verified as well', () => {
    const folder = tempFolder();
    const file = join(folder, 'file');
    writeFileSync(file, bytes);
    const run = (...args: string[]) => execFileSync('minisign', args, { cwd: folder, stdio: 'pipe' });
    run('-G', '-W', '-p', 'its.pub', '-s', 'its.key');
    run('-S', '-W', '-s', 'its.key', '-m', 'file', '-t', 'a comment of its own');
    const its = parsePublicKey(readFileSync(join(folder, 'its.pub'), 'utf8'), 'its key');
    expect(verifyMinisign(prehash(bytes), readFileSync(`${file}.minisig`, 'utf8'), its, 'it')).toBe('a comment of its own');
    run('-S', '-l', '-W', '-s', 'its.key', '-m', 'file');
    expect(() => verifyMinisign(prehash(bytes), readFileSync(`${file}.minisig`, 'utf8'), its, 'it')).toThrow(/no signature of minisign/);
  });
});

describe.skipIf(!hasJudge('ssh-keygen'))('ssh-keygen', () => {
  const verify = (what: string, signature: string) => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'allowed'), `publisher ${sshPublicKey(key.public)}\n`);
    writeFileSync(join(folder, 'file.sig'), signature);
    return execFileSync('ssh-keygen', ['-Y', 'verify', '-f', 'allowed', '-I', 'publisher', '-n', 'file', '-s', 'file.sig'], {
      cwd: folder,
      input: what,
      encoding: 'utf8',
      stdio: 'pipe',
    });
  };

  test('accepts our signatures, of these bytes and by this key alone', () => {
    const signature = sshSignature(bytes, key);
    expect(verify('some image', signature)).toContain('Good "file" signature for publisher');
    expect(() => verify('some other', signature)).toThrow(/Could not verify|incorrect/i);
    expect(() => verify('some image', sshSignature(bytes, newKey()))).toThrow(/Command failed/);
  });
});

test('the public key as a file has a comment and a line', () => {
  expect(parsePublicKey(publicKeyText(key.public), 'it').id).toBe(key.public.id);
});
