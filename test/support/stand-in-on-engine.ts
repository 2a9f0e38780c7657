import { afterAll } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { testEngine } from './run-stand-in.ts';
import { makeStandIn, type StandIn } from './stand-in.ts';

/** The engine and a stand-in for the sources, for all tests of a file; the stand-in is removed after them. */
export async function standInOnEngine(): Promise<{ engine: Engine; standIn: StandIn }> {
  const engine = await testEngine();
  const standIn = makeStandIn();
  afterAll(() => standIn.remove());
  return { engine, standIn };
}
