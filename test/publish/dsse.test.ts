import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openStatements, type Statement, signStatement } from '../../src/publish/dsse.ts';
import { newKey } from '../../src/publish/key.ts';
import { hasJudge } from '../support/judges.ts';
import { tempFolder } from '../support/temp-folder.ts';

const key = newKey();
const statement: Statement = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: 'grüße.gz', digest: { sha256: 'a'.repeat(64) } }],
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: { some: ['thing'] },
};
const line = signStatement(statement, key);
const codeOf = (text: string, by = key) => {
  try {
    openStatements(text, by.public, 'it');
    return 'accepted';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test('what was signed comes out again, also several of them', () => {
  expect(openStatements(line, key.public, 'it')).toEqual([statement]);
  expect(openStatements(`${line}\n${line}`, key.public, 'it')).toEqual([statement, statement]);
});

test('another key, another payload, another type, no signature: refused', () => {
  expect(codeOf(line, newKey())).toBe('SIGNATURE_INVALID');
  const envelope = JSON.parse(line) as { payload: string; payloadType: string; signatures: { keyid: string; sig: string }[] };
  const payload = Buffer.from(Buffer.from(envelope.payload, 'base64').toString().replace('thing', 'think')).toString('base64');
  expect(codeOf(JSON.stringify({ ...envelope, payload }))).toBe('SIGNATURE_INVALID');
  expect(codeOf(JSON.stringify({ ...envelope, payloadType: 'text/plain' }))).toBe('STATEMENT_INVALID');
  expect(codeOf(JSON.stringify({ ...envelope, signatures: [] }))).toBe('SIGNATURE_INVALID');
  expect(codeOf(line + JSON.stringify({ ...envelope, signatures: [] }))).toBe('SIGNATURE_INVALID');
  // The name of the key is a hint, no more.
  expect(codeOf(JSON.stringify({ ...envelope, signatures: envelope.signatures.map(({ sig }) => ({ keyid: 'other', sig })) }))).toBe(
    'accepted',
  );
});

test('a signed thing that is no statement is refused', () => {
  for (const wrong of [null, [], 7, { ...statement, _type: 'x' }, { ...statement, predicate: null }, { ...statement, subject: {} }])
    expect(codeOf(signStatement(wrong as Statement, key))).toBe('STATEMENT_INVALID');
});

test('whatever a file holds, it is refused with a reason', () => {
  fc.assert(fc.property(fc.string(), (text) => void expect(codeOf(text)).toBe('STATEMENT_INVALID')));
  fc.assert(fc.property(fc.json(), (text) => void expect(codeOf(text)).toBe('STATEMENT_INVALID')));
  fc.assert(
    fc.property(fc.nat(line.length - 2), fc.nat(127), (at, byte) => {
      const changed = line.slice(0, at) + String.fromCharCode(byte) + line.slice(at + 1);
      const result = codeOf(changed);
      // A space between JSON's members, a character of base64 that is left out, or the key's name may well change.
      if (result === 'accepted') expect(openStatements(changed, key.public, 'it')).toEqual([statement]);
    }),
  );
});

describe.skipIf(!hasJudge('openssl'))('openssl', () => {
  test('verifies an envelope, with the bytes that DSSE 1.0.2 says are signed put together by the shell', () => {
    const folder = tempFolder();
    const { payload, payloadType, signatures } = JSON.parse(line) as {
      payload: string;
      payloadType: string;
      signatures: { sig: string }[];
    };
    writeFileSync(join(folder, 'payload.b64'), payload);
    writeFileSync(join(folder, 'sig.b64'), signatures[0]?.sig ?? '');
    writeFileSync(join(folder, 'key.pem'), key.public.object.export({ type: 'spki', format: 'pem' }));
    const script = [
      'base64 -d < payload.b64 > payload; base64 -d < sig.b64 > sig',
      `{ printf 'DSSEv1 %d %s %d ' ${payloadType.length} ${payloadType} "$(stat -c %s payload)"; cat payload; } > signed`,
      'openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in signed -sigfile sig',
    ].join('\n');
    const verify = () => execFileSync('sh', ['-euc', script], { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
    expect(verify()).toContain('Signature Verified Successfully');
    expect(JSON.parse(readFileSync(join(folder, 'payload'), 'utf8'))).toEqual(statement);
    writeFileSync(join(folder, 'payload.b64'), Buffer.from(`${Buffer.from(payload, 'base64')} `).toString('base64'));
    expect(verify).toThrow();
  });
});
