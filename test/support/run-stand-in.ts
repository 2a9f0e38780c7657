import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shareOf } from '../../src/build/budget.ts';
import { type RunContext, type RunResult, runBuild } from '../../src/build/run.ts';
import { type Settings, settle } from '../../src/config/settings.ts';
import { type Engine, greet } from '../../src/engine/engine.ts';
import type { Cell } from '../../src/plan/plan.ts';
import type { Event } from '../../src/report/events.ts';
import { type ReproduceContext, type ReproduceResult, runReproduce } from '../../src/reproduce/run.ts';
import { chosenVariations } from '../../src/reproduce/variations.ts';

/** The engine that `npm test` made ready; integration tests are not run without one. */
export async function testEngine(): Promise<Engine> {
  const endpoint = process.env['PVGRUB_TEST_ENGINE'];
  if (!endpoint) throw new Error('no engine: run the tests with `npm test`');
  return greet(endpoint, 'npm test');
}

export interface Bench {
  output: string;
  store: string;
  cache: string;
  events: Event[];
  settings: (more: Parameters<Bench['run']>[1] & object) => Settings;
  run: (
    cells: Cell[],
    more?: Partial<RunContext> & { origins?: string[]; limits?: Partial<{ time: string; memory: string; pids: number }>; cells?: number },
  ) => Promise<RunResult>;
  /** Build again, and compare; under all variations if not said. */
  reproduce: (cells: Cell[], vary?: string, more?: Partial<ReproduceContext>) => Promise<ReproduceResult>;
  remove: () => void;
}

/** A place with its own store and output folder to run builds in. */
export function makeBench(engine: Engine, sources: string): Bench {
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-bench-'));
  const settingsOf = (more: Parameters<Bench['run']>[1] & object) => {
    const names = ['xen', 'newlib', 'zlib', 'pciutils', 'grub'];
    return settle({
      config: { limits: { time: '5m', memory: '1g', ...more.limits }, concurrency: { cores: 2, cells: more.cells ?? 2 } },
      overrides: {
        output: bench.output,
        store: bench.store,
        cache: bench.cache,
        origins: more.origins ?? names.map((name) => `${name}=dir:${sources}`),
      },
      env: process.env,
      cwd: folder,
    });
  };
  const context = () => ({
    engine,
    cwd: folder,
    emit: (event: Event) => void bench.events.push(event),
    signal: new AbortController().signal,
  });
  const bench: Bench = {
    output: join(folder, 'out'),
    store: join(folder, 'store'),
    cache: join(folder, 'cache'),
    events: [],
    settings: settingsOf,
    run: (cells, more = {}) => {
      const settings = settingsOf(more);
      const engines = [{ engine, ...shareOf(engine, settings) }];
      return runBuild(cells, { ...context(), engines, settings, force: false, debug: false, ...more });
    },
    reproduce: (cells, vary, more = {}) =>
      runReproduce(cells, { ...context(), settings: settingsOf({}), variations: chosenVariations(vary), ...more }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
  return bench;
}

/** Containers and volumes on the engine that a process made: this one, or another of ours. */
export async function leftovers(engine: Engine, pid: number | undefined = process.pid): Promise<{ containers: number; volumes: number }> {
  const filters = { label: ['pvgrub-forge=work', `pvgrub-forge.pid=${pid}`] };
  const containers = await engine.docker.listContainers({ all: true, filters });
  const { Volumes } = await engine.docker.listVolumes({ filters: JSON.stringify(filters) as never });
  return { containers: containers.length, volumes: (Volumes ?? []).length };
}
