import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { keptOn } from '../../src/engine/kept.ts';
import { root } from '../support/cli.ts';
import { makeProduct, type Product } from '../support/product.ts';
import { leftovers, testEngine } from '../support/run-stand-in.ts';

let engine: Engine;
let product: Product;
beforeAll(async () => {
  engine = await testEngine();
  product = makeProduct();
});
afterAll(() => product.remove());

const cell = 'pv-grub-4.2.5-x86_64';
const where = () => ['--engine', engine.endpoint];

/** Type into a shell, and read what it prints. */
async function type(text: string): Promise<{ code: number | null; out: string; err: string }> {
  const env = { ...process.env, PVGRUB_DATA: join(product.folder, 'data') };
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'shell', cell, '--no-setup', ...where()], {
    cwd: product.folder,
    env,
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  child.stdin.write(text);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

test('a cell that fails under --debug leaves its volume, a shell in the build image has it, and clean takes it away', async () => {
  // Out of time in the middle.
  const config = { loaders: { 'pv-grub': { versions: ['4.2.5'], arches: ['x86_64'] } }, limits: { time: '0.5s' } };
  writeFileSync(join(product.folder, 'matrix.config.json'), JSON.stringify(config));
  const build = ['build', cell, '--debug', '--progress', 'plain', '--no-cache', '--no-setup', ...where(), ...product.origins()];
  const failed = await product.call(build);
  expect(failed.code, failed.stderr).toBe(1);
  expect(failed.stderr).toContain(`${cell}: its volume is kept; a shell with it: pvgrub shell ${cell}`);
  expect(failed.stderr).toContain(`start -ai pvgrub-debug-${cell}`);
  const shell = await type('ls /cell/in; gcc --version | head -n 1; id -un; exit 7\n');
  expect(shell.code, shell.err).toBe(7);
  expect(shell.out).toMatch(/unpack\.sh/);
  expect(shell.out).toMatch(/gcc \(Debian/);
  // Again: what is kept is the new one, and nothing is left of the old.
  await product.call(build);
  expect(await keptOn(engine, cell)).toHaveLength(1);
  const shown = await product.call(['clean', '--json', ...where()]);
  expect(JSON.parse(shown.stdout)).toContainEqual(expect.objectContaining({ kind: 'kept', what: expect.stringContaining(cell) }));
  expect((await product.call(['clean', 'kept', ...where()])).stdout).toMatch(/removed/);
  expect(await keptOn(engine, cell)).toEqual([]);
  expect(await type('')).toMatchObject({ code: 2, err: expect.stringContaining('nothing is kept of') });
  expect(await leftovers(engine, 0)).toEqual({ containers: 0, volumes: 0 });
}, 120_000);
