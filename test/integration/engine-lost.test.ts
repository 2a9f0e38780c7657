import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Engine, greet } from '../../src/engine/engine.ts';
import type { Cell } from '../../src/plan/plan.ts';
import { engineProxy } from '../support/proxy.ts';
import { leftovers, makeBench, testEngine } from '../support/run-stand-in.ts';
import { makeStandIn, type StandIn } from '../support/stand-in.ts';

let engine: Engine;
let standIn: StandIn;
beforeAll(async () => {
  engine = await testEngine();
  standIn = makeStandIn();
});
afterAll(async () => {
  standIn.remove();
  // The cut engine could not be asked to clean up, and this process lives on: no later run would sweep it either.
  const filters = { label: ['pvgrub-forge=work', `pvgrub-forge.pid=${process.pid}`] };
  for (const { Id } of await engine.docker.listContainers({ all: true, filters }))
    await engine.docker.getContainer(Id).remove({ force: true });
  const { Volumes } = await engine.docker.listVolumes({ filters: JSON.stringify(filters) as never });
  for (const { Name } of Volumes ?? []) await engine.docker.getVolume(Name).remove();
});

const slow = (cell: Cell): Cell => ({
  ...cell,
  recipe: { ...cell.recipe, steps: [...cell.recipe.steps, { phase: 'wait', run: 'sleep 300' }] },
});

test('an engine that goes away in the middle of a build ends the cell with a clear error and leaves nothing half-written', async () => {
  const proxy = await engineProxy(engine.endpoint);
  const bench = makeBench(await greet(proxy.endpoint, 'a proxy'), standIn.folder);
  try {
    let ended = false;
    const running = bench.run(standIn.cells().map(slow)).finally(() => {
      ended = true;
    });
    while (!ended && !bench.events.some((event) => event.type === 'cell-phase' && event.phase === 'wait')) await sleep(50);
    if (ended) console.log(JSON.stringify(bench.events.slice(-4)));
    proxy.cut();
    const result = await running;
    expect(result.failed.map(({ error }) => error)).toEqual([
      expect.objectContaining({ code: 'ENGINE_LOST', hint: expect.stringContaining('run again') }),
    ]);
    expect(result.exit).toBe(4);
    expect(existsSync(bench.output) ? readdirSync(bench.output) : []).toEqual(['journal.jsonl']);
    // What it could not remove, it said.
    expect((await leftovers(engine)).containers).toBeGreaterThan(0);
    expect(bench.events.some((event) => event.type === 'warning' && /could not be removed/.test(event.text))).toBe(true);
  } finally {
    bench.remove();
    proxy.remove();
  }
});
