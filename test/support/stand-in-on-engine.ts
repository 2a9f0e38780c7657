import { existsSync, readdirSync } from 'node:fs';
import { afterAll, afterEach, beforeEach, expect } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { keptOn, removeKept } from '../../src/engine/kept.ts';
import { type Bench, leftovers, makeBench, testEngine } from './run-stand-in.ts';
import { makeStandIn, type StandIn } from './stand-in.ts';

/** The engine and a stand-in for the sources, for all tests of a file; the stand-in is removed after them. */
export async function standInOnEngine(): Promise<{ engine: Engine; standIn: StandIn }> {
  const engine = await testEngine();
  const standIn = makeStandIn();
  afterAll(() => standIn.remove());
  return { engine, standIn };
}

/**
 * A bench of its own for each test of a file. Whatever a test did: nothing of it may stay on the engine, and nothing
 * half-written in the output folder.
 */
export function eachBench(engine: Engine, standIn: StandIn): Bench {
  const bench = {} as Bench;
  beforeEach(() => {
    Object.assign(bench, makeBench(engine, standIn.folder));
  });
  afterEach(async () => {
    // What a run with debug keeps is meant to stay.
    for (const kept of await keptOn(engine)) await removeKept(engine, kept);
    expect(await leftovers(engine)).toEqual({ containers: 0, volumes: 0 });
    expect(existsSync(bench.output) ? readdirSync(bench.output).filter((name) => name.startsWith('.')) : []).toEqual([]);
    bench.remove();
  });
  return bench;
}
