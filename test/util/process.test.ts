import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { run } from '../../src/util/process.ts';
import { tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();

describe('run', () => {
  test('gives exit code, output and complaints, each by itself', async () => {
    const answer = await run('sh', ['-c', 'echo out; echo err >&2; exit 3']);
    expect({ ...answer, stdout: answer.stdout.toString() }).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n' });
  });

  test('uses no shell: arguments arrive as they are', async () => {
    const args = ['$(echo x)', '; echo y', '"', '*', ''];
    const answer = await run('printf', ['%s\\n', ...args]);
    expect(answer.stdout.toString().split('\n').slice(0, -1)).toEqual(args);
  });

  test('keeps bytes as they are, and more than a pipe holds', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 256));
    const file = join(folder, 'bytes');
    writeFileSync(file, bytes);
    expect((await run('cat', [file, file])).stdout.equals(Buffer.concat([bytes, bytes]))).toBe(true);
  });

  test('gives a program that reads its input none', async () => {
    expect(await run('cat', [])).toMatchObject({ code: 0, stdout: Buffer.alloc(0) });
  });

  test('runs with the environment it is given, and no other', async () => {
    const answer = await run('sh', ['-c', 'echo "$THING$HOME"'], { env: { PATH: process.env['PATH'], THING: 'a' } });
    expect(answer.stdout.toString()).toBe('a\n');
  });

  test('says which program is not there', async () => {
    // A path of its own: a folder of the machine's that may not be read would answer EACCES.
    const env = { PATH: '/usr/bin:/bin' };
    await expect(run('no-such-program-at-all', [], { env })).rejects.toMatchObject({ code: 'ENOENT', path: 'no-such-program-at-all' });
  });

  test('kills the program when the signal aborts', async () => {
    const controller = new AbortController();
    const start = Date.now();
    setTimeout(() => controller.abort(), 50);
    await expect(run('sleep', ['30'], { signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
    expect(Date.now() - start).toBeLessThan(5000);
  });
});
