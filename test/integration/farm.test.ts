import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Engine, greet } from '../../src/engine/engine.ts';
import type { Cell } from '../../src/plan/plan.ts';
import { makeProduct } from '../support/product.ts';
import { engineProxy } from '../support/proxy.ts';
import { leftovers, makeBench, testEngine } from '../support/run-stand-in.ts';
import { type SecondEngine, secondEngine } from '../support/second-engine.ts';
import { makeStandIn, type StandIn } from '../support/stand-in.ts';
import { readWorkflow, runWorkflow } from '../support/workflow.ts';

// Two real daemons, each with its own data.
let first: Engine;
let second: Engine;
let daemon: SecondEngine;
let standIn: StandIn;
beforeAll(async () => {
  first = await testEngine();
  daemon = secondEngine();
  second = await daemon.start();
  standIn = makeStandIn();
});
afterAll(async () => {
  standIn.remove();
  await daemon.remove();
});

const waiting = (cell: Cell, seconds: number): Cell => ({
  ...cell,
  recipe: { ...cell.recipe, steps: [...cell.recipe.steps, { phase: 'wait', run: `sleep ${seconds}` }] },
});
const both = () => [first, second].map((engine) => ({ engine, cores: 1, cells: 1 }));
const images = (done: { id: string; image: { sha256: string } }[]) => Object.fromEntries(done.map(({ id, image }) => [id, image.sha256]));

test('jobs of the release workflow, on separate engines, give the same images, sums and index digests as one build', async () => {
  const product = makeProduct();
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-release-'));
  try {
    const origins = Object.fromEntries(
      ['xen', 'newlib', 'zlib', 'pciutils', 'grub'].map((name) => [name, `dir:${product.standIn.folder}`]),
    );
    const config = JSON.stringify({ loaders: { 'pv-grub': { versions: ['4.2.5'] } }, origins });
    const url = 'https://example.org/pv-grub';
    const keys = join(folder, 'key');
    const env = { PVGRUB_KEY_PASSPHRASE: 'secret' };
    expect((await product.call(['key', 'generate', '--out', keys], env)).code).toBe(0);
    const key = readFileSync(`${keys}.pub`, 'utf8').trim().split('\n').at(-1) as string;
    const engines = [first.endpoint, second.endpoint];
    let jobs = 0;
    await runWorkflow(readWorkflow('release.yml'), ['plan', 'build', 'merge', 'reproduce', 'sign'], {
      folder,
      inputs: { selector: '*', parts: '2', sample: '1' },
      secrets: { PVGRUB_KEY: readFileSync(keys, 'utf8'), ...env },
      vars: { PVGRUB_URL: url, PVGRUB_PUBLIC_KEY: key },
      files: { 'matrix.config.json': config },
      env: (job, index) => ({
        PVGRUB_DATA: join(product.folder, 'data'),
        XDG_CACHE_HOME: join(folder, `cache-${job}-${index}`),
        // Each job on the other engine than the one before it.
        PVGRUB_ENGINE: engines[jobs++ % 2] as string,
        PVGRUB_NO_SETUP: '1',
      }),
      // The stand-in is no loader: it does not boot.
      script: (run) => run.replace(' --boot', ''),
    });
    const merged = join(folder, 'merge-0/merged');
    const alone = await product.call(['build', '*', '--out', 'alone', '--engine', first.endpoint, '--no-setup', ...product.origins()]);
    expect(alone.code, alone.stderr).toBe(0);
    const sums = readFileSync(join(product.folder, 'alone/SHA256SUMS'), 'utf8');
    expect(sums.trim().split('\n')).toHaveLength(2);
    expect(readFileSync(join(merged, 'SHA256SUMS'), 'utf8')).toBe(sums);
    const index = JSON.parse(readFileSync(join(folder, 'sign-0/site/index.json'), 'utf8')) as { images: { image: { sha256: string } }[] };
    expect(index.images.map(({ image }) => image.sha256).sort()).toEqual(
      sums
        .trim()
        .split('\n')
        .map((line) => line.slice(0, 64))
        .sort(),
    );
    expect(readFileSync(join(folder, 'summary.md'), 'utf8')).toMatch(/pv-grub-4\.2\.5-x86_32/);
    expect(existsSync(join(folder, 'build-1/results/junit.xml'))).toBe(true);
  } finally {
    product.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});

test('cells go to both engines, and one that is killed in the middle of a build loses nothing', async () => {
  const bench = makeBench(first, standIn.folder);
  const plain = makeBench(first, standIn.folder);
  try {
    const cells = standIn.cells(['x86_64', 'x86_32']).map((cell) => waiting(cell, 6));
    let killed: Promise<void> | undefined;
    const result = await bench.run(cells, {
      engines: both(),
      askMs: 1000,
      emit: (event) => {
        bench.events.push(event);
        // Both are at work then: it has had a cell from the start, or the other engine has.
        const at = bench.events.find((one) => one.type === 'cell-started' && one.engine?.includes(second.endpoint));
        if (at?.type === 'cell-started' && event.type === 'cell-phase' && event.cell === at.cell && event.phase === 'wait')
          killed ??= daemon.kill();
      },
    });
    await killed;
    expect(result.failed).toEqual([]);
    const started = bench.events.flatMap((event) => (event.type === 'cell-started' ? [`${event.cell} ${event.engine}`] : []));
    expect(started).toHaveLength(3);
    expect(bench.events).toContainEqual({ type: 'engine-lost', engine: expect.stringContaining(second.endpoint), left: 1 });
    expect(bench.events.filter(({ type }) => type === 'cell-returned')).toHaveLength(1);
    expect(images(result.done)).toEqual(images((await plain.run(cells)).done));
    expect(await leftovers(first)).toEqual({ containers: 0, volumes: 0 });
  } finally {
    second = await daemon.start();
    bench.remove();
    plain.remove();
  }
});

test('an engine that stops to answer without a word is lost, and what it was building goes to the other', async () => {
  const proxy = await engineProxy(second.endpoint);
  const bench = makeBench(first, standIn.folder);
  try {
    const silent = await greet(proxy.endpoint, 'a proxy');
    const cells = standIn.cells(['x86_64', 'x86_32']).map((cell) => waiting(cell, 4));
    const engines = [first, silent].map((engine) => ({ engine, cores: 1, cells: 1 }));
    const result = await bench.run(cells, {
      engines,
      askMs: 500,
      emit: (event) => {
        bench.events.push(event);
        if (event.type === 'cell-phase' && event.phase === 'wait') proxy.freeze();
      },
    });
    expect(result.failed).toEqual([]);
    expect(bench.events.filter(({ type }) => type === 'engine-lost')).toHaveLength(1);
  } finally {
    bench.remove();
    proxy.remove();
  }
});
