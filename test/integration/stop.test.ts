import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InterruptedError } from '../../src/errors.ts';
import type { Cell } from '../../src/plan/plan.ts';
import { type Bench, leftovers, makeBench } from '../support/run-stand-in.ts';
import { standInOnEngine } from '../support/stand-in-on-engine.ts';

const { engine, standIn } = await standInOnEngine();
let bench: Bench;
beforeEach(() => {
  bench = makeBench(engine, standIn.folder);
});
afterEach(() => bench.remove());

const slow = (): Cell[] =>
  standIn
    .cells(['x86_64', 'x86_32'])
    .map((cell) => ({ ...cell, recipe: { ...cell.recipe, steps: [...cell.recipe.steps, { phase: 'wait', run: 'sleep 300' }] } }));

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (await condition()) return;
    await sleep(100);
  }
  throw new Error('it never came');
}

const tidy = () => (existsSync(bench.output) ? readdirSync(bench.output).filter((name) => name.startsWith('.work')) : []);

test('an interrupted run stops its containers, removes them and their volumes, and says so', async () => {
  const controller = new AbortController();
  const running = bench.run(slow(), { signal: controller.signal });
  await until(() => bench.events.some((event) => event.type === 'cell-phase' && event.phase === 'wait'));
  controller.abort(new InterruptedError());
  const result = await running;
  expect(result.exit).toBe(130);
  expect(result.failed.map(({ error }) => error)).toEqual([expect.any(InterruptedError), expect.any(InterruptedError)]);
  expect(await leftovers(engine)).toEqual({ containers: 0, volumes: 0 });
  expect(tidy()).toEqual([]);
});

test('what a killed run leaves on the engine and in the output folder is swept by the next', async () => {
  const script = join(import.meta.dirname, '../support/slow-run.ts');
  const child = spawn(process.execPath, [script, bench.output, bench.store, standIn.folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: process.env,
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await until(() => said.includes('wait'));
  child.kill('SIGKILL');
  await once(child, 'close');
  const left = await leftovers(engine, child.pid);
  expect(left.containers).toBeGreaterThan(0);
  expect(left.volumes).toBeGreaterThan(0);
  expect(tidy().length).toBeGreaterThan(0);
  const result = await bench.run(standIn.cells());
  expect(result.exit).toBe(0);
  expect(await leftovers(engine, child.pid)).toEqual({ containers: 0, volumes: 0 });
  expect(tidy()).toEqual([]);
  expect(bench.events.some((event) => event.type === 'note' && /leftovers/.test(event.text))).toBe(true);
});

test('a run that is alive is not swept by another', async () => {
  const controller = new AbortController();
  const running = bench.run(slow().slice(0, 1), { signal: controller.signal });
  await until(() => bench.events.some((event) => event.type === 'cell-phase' && event.phase === 'wait'));
  const other = makeBench(engine, standIn.folder);
  try {
    expect((await other.run(standIn.cells(['x86_32']))).exit).toBe(0);
    expect((await leftovers(engine)).containers).toBeGreaterThan(0);
  } finally {
    other.remove();
    controller.abort(new InterruptedError());
    await running;
  }
  expect(await leftovers(engine)).toEqual({ containers: 0, volumes: 0 });
});
