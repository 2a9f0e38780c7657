import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import type { Settings } from '../config/settings.ts';
import { engineName } from '../engine/engine.ts';
import { ownerLabels, thisOwner } from '../engine/labels.ts';
import { EngineError, type ExitCode, errorData, exitCode, InterruptedError, runExitCode } from '../errors.ts';
import { expectedSeconds, longestFirst } from '../plan/expected.ts';
import type { Cell } from '../plan/plan.ts';
import type { Listener } from '../report/events.ts';
import { cellFolder, sweepWork, writeSums } from './artifacts.ts';
import type { BootChoice } from './boot-stage.ts';
import { Farm, type FarmEngine, type Site } from './farm.ts';
import { journal, lastSeconds } from './journal.ts';
import type { Metadata } from './metadata.ts';
import { bootPlaced, buildAndPlace, hasBooted } from './place-cell.ts';
import { RunSources } from './run-sources.ts';

/** What a run needs of its surroundings. */
export interface RunContext {
  /** Those that cells are spread over, in the order in which they are made ready. */
  engines: readonly FarmEngine[];
  settings: Settings;
  cwd: string;
  emit: Listener;
  signal: AbortSignal;
  /** Take nothing from earlier runs: build also what is there already, and every toolchain. */
  force: boolean;
  /** Keep the logs of a failed cell in `<output>/failed/`. */
  debug: boolean;
  /** Boot every image before it is placed; undefined: do not. */
  boot?: BootChoice | undefined;
  /** How often an engine beside others is asked whether it is still there. */
  askMs?: number;
}

/** What became of the cells of a run. */
export interface RunResult {
  exit: ExitCode;
  done: Metadata[];
  cached: Metadata[];
  failed: { cell: string; error: unknown }[];
}

/**
 * Build cells: the build image, then for each cell its sources, and those that are not there yet side by side.
 * One cell's failure stops no other. Everything is told through `emit`; failures are in the result, and where there is
 * no build image to be had every cell has failed.
 */
export async function runBuild(cells: readonly Cell[], context: RunContext): Promise<RunResult> {
  const { engines, settings, signal } = context;
  const run = randomBytes(8).toString('hex');
  const labels = ownerLabels(thisOwner(run));
  const begun = Date.now();
  const log = journal(settings.output, run, () => new Date());
  let building: { cpu: NodeJS.CpuUsage; from: number } | undefined;
  const emit: Listener = (event) => {
    if (event.type === 'cell-started') building ??= { cpu: process.cpuUsage(), from: Date.now() };
    log.listen(event);
    context.emit(event);
  };
  // Where it cannot be read, the run itself will say what is wrong.
  const took = await lastSeconds(settings.output).catch(() => new Map<string, number>());
  const farm = new Farm({ ...context, emit, labels, choice: context.boot, cells: cells.length });
  emit({
    type: 'run-started',
    run,
    cells: cells.map((cell) => cell.id),
    engines: engines.map(({ engine }) =>
      engines.length > 1 ? engineName(engine) : `${engine.name} ${engine.version} (${engine.foundBy})`,
    ),
    ...farm.size,
    expected: Object.fromEntries(cells.map((cell) => [cell.id, took.get(cell.id) ?? expectedSeconds(cell)])),
  });
  const result: RunResult = { exit: 0, done: [], cached: [], failed: [] };
  const fetched = new RunSources(context, emit);
  const queue = new PQueue({ concurrency: farm.size.side });
  // Cells that will still want cores: not started, and not known to need none.
  let wanting = cells.length;

  const fail = (cell: Cell, error: unknown, start: number, failedLog?: string) => {
    const reason = signal.aborted ? new InterruptedError() : error;
    result.failed.push({ cell: cell.id, error: reason });
    emit({ type: 'cell-failed', cell: cell.id, error: errorData(reason), exit: exitCode(reason), ms: Date.now() - start, log: failedLog });
  };

  /** Which engine, where there are several. */
  const where = (site: Site) => (engines.length > 1 ? { engine: site.name } : {});

  /** Build or boot a cell on one engine, or find that there is nothing to do. */
  const attempt = async (cell: Cell, site: Site, start: number, countOff: () => void, onLog: (path: string) => void): Promise<void> => {
    let there = context.force ? undefined : await fetched.alreadyBuilt(cell, site.image);
    if (there && site.boot && context.boot && !hasBooted(there, cell, context.boot)) {
      emit({ type: 'cell-started', cell: cell.id, jobs: 1, ...where(site) });
      emit({ type: 'cell-phase', cell: cell.id, phase: 'boot' });
      there = await bootPlaced(cell, there, site.boot, { settings, choice: context.boot });
    }
    if (there) {
      result.cached.push(there);
      emit({ type: 'cell-cached', cell: cell.id, ...told(there) });
      return;
    }
    const sources = await fetched.of(cell);
    countOff();
    const jobs = site.budget.take(farm.wanting(site, wanting));
    try {
      emit({ type: 'cell-started', cell: cell.id, jobs, ...where(site) });
      const metadata = await buildAndPlace(cell, sources, site, { ...context, emit }, { labels, jobs, onLog });
      result.done.push(metadata);
      emit({ type: 'cell-done', cell: cell.id, ...told(metadata), ms: Date.now() - start });
    } finally {
      site.budget.give(jobs);
    }
  };

  const one = async (cell: Cell): Promise<void> => {
    const start = Date.now();
    let counted = true;
    const countOff = () => {
      if (counted) wanting--;
      counted = false;
    };
    let failedLog: string | undefined;
    const lost = new Set<Site>();
    try {
      for (let ended = false; !ended; ) {
        const site = await farm.enter(lost);
        try {
          signal.throwIfAborted();
          await Promise.race([attempt(cell, site, start, countOff, (path) => (failedLog = path)), givenUp(site.signal)]);
          ended = true;
        } catch (error) {
          lost.add(site);
          // Whatever it looks like: where the engine has gone, that is the reason; what it refuses, another may do.
          if (signal.aborted || !farm.hasOther(lost) || !((await farm.isLost(site)) || error instanceof EngineError)) throw error;
          emit({ type: 'cell-returned', cell: cell.id, engine: site.name });
        } finally {
          farm.leave(site);
        }
      }
    } catch (error) {
      fail(cell, error, start, failedLog);
    } finally {
      countOff();
    }
  };

  try {
    const swept = await sweepWork(settings.output);
    if (swept > 0) emit({ type: 'note', text: `removed ${swept} leftovers of a run that was killed` });
    try {
      await farm.open();
      await queue.addAll(longestFirst(cells, took).map((cell) => () => one(cell)));
    } finally {
      await farm.close();
    }
  } catch (error) {
    // No cell was begun.
    for (const cell of cells) fail(cell, error, begun);
  }
  try {
    if (result.done.length > 0 || result.cached.length > 0) {
      const read = [...result.done, ...result.cached].map((cell): [string, string] => [
        cellFolder(settings.output, cell),
        cell.image.sha256,
      ]);
      const { damaged } = await writeSums(settings.output, new Map(read));
      for (const name of damaged) emit({ type: 'warning', text: `${name} has changed since it was built: left out of SHA256SUMS` });
    }
  } catch (error) {
    result.failed.push({ cell: 'SHA256SUMS', error });
    emit({ type: 'warning', text: `SHA256SUMS could not be written: ${errorData(error).message}` });
  }
  result.exit = runExitCode(result.failed.map(({ error }) => error));
  emit({
    type: 'run-finished',
    run,
    ms: Date.now() - begun,
    ...(building ? { building: spent(building) } : {}),
    done: result.done.length,
    cached: result.cached.length,
    failed: result.failed.length,
    exit: result.exit,
  });
  await log.done();
  return result;
}

/** Time since the first cell was started, and the processor time that this process itself has taken of it. */
function spent({ cpu, from }: { cpu: NodeJS.CpuUsage; from: number }): { ms: number; cpuMs: number } {
  const { user, system } = process.cpuUsage(cpu);
  return { ms: Date.now() - from, cpuMs: Math.round((user + system) / 1000) };
}

/** How long a cell may take to come to an end when it is told to: an engine that hangs must not keep the run. */
const PATIENCE_MS = 45_000;

/** Rejects some time after a signal, with its reason. */
async function givenUp(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  await sleep(PATIENCE_MS, undefined, { ref: false });
  throw signal.reason;
}

/** What is told of an image that is there. */
function told({ image, unpinned, boot }: Metadata) {
  return {
    image: image.file,
    sha256: image.sha256,
    size: image.size,
    unpinned,
    ...(boot ? { boot: { cases: boot.cases.length, hypervisor: boot.hypervisor } } : {}),
  };
}
