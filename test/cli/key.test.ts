import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseSigningKey } from '../../src/publish/key.ts';
import { pvgrub, root } from '../support/cli.ts';
import { tempFolder } from '../support/temp-folder.ts';

const clean = { PVGRUB_KEY: '', PVGRUB_KEY_PASSPHRASE: '' };

/** Call `key generate` on a terminal of its own, and answer each question when it comes. */
async function onTerminal(file: string, answers: string[]): Promise<{ code: number | null; shown: string }> {
  const command = `${process.execPath} ${join(root, 'src/cli/main.ts')} key generate --out ${file}`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...process.env, ...clean }, stdio: ['pipe', 'pipe', 'ignore'] });
  let shown = '';
  let asked = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
    const questions = shown.match(/(Passphrase for the new key|Once more): /g)?.length ?? 0;
    for (; asked < questions; asked++) child.stdin.write(answers[asked] ?? '\r');
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, shown };
}

describe('on a terminal', () => {
  test('the passphrase of a new key is asked for twice, and not shown', async () => {
    const file = join(tempFolder(), 'key');
    const { code, shown } = await onTerminal(file, ['very secret\r', 'very secret\r']);
    expect(code).toBe(0);
    expect(shown).not.toContain('secret');
    expect(shown).toContain(parseSigningKey(readFileSync(file, 'utf8'), 'very secret', 'it').public.id);
  });

  test('Ctrl-C at the question ends it with 130, and makes nothing', async () => {
    const file = join(tempFolder(), 'key');
    expect((await onTerminal(file, ['half\x03'])).code).toBe(130);
    expect(existsSync(file)).toBe(false);
  });

  test('nothing for an answer is no passphrase', async () => {
    const file = join(tempFolder(), 'key');
    const { code, shown } = await onTerminal(file, ['\r']);
    expect([code, existsSync(file)]).toEqual([2, false]);
    expect(shown).toContain('KEY_MISSING');
  });
});

test('without a terminal the passphrase comes from the environment, or the error says how to give it', async () => {
  const file = join(tempFolder(), 'key');
  const without = await pvgrub(['key', 'generate', '--out', file], { env: clean });
  expect(without).toMatchObject({ code: 2, stderr: expect.stringContaining('PVGRUB_KEY_PASSPHRASE') });
  expect((await pvgrub(['key', 'generate', '--out', file], { env: { ...clean, PVGRUB_KEY_PASSPHRASE: 'p' } })).code).toBe(0);
  const shown = await pvgrub(['key', 'show', file], { env: { ...clean, PVGRUB_KEY_PASSPHRASE: 'p' } });
  expect(shown).toMatchObject({ code: 0, stdout: readFileSync(`${file}.pub`, 'utf8') });
  expect((await pvgrub(['key', 'show', `${file}.pub`], { env: clean })).stdout).toBe(shown.stdout);
  const inner = { PVGRUB_KEY: readFileSync(file, 'utf8'), PVGRUB_KEY_PASSPHRASE: 'p' };
  expect((await pvgrub(['key', 'show'], { env: inner })).stdout).toBe(shown.stdout);
  expect(await pvgrub(['key', 'show', join(file, 'no')], { env: clean })).toMatchObject({ code: 2 });
});
