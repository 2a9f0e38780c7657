import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { BOOT_LOG, type BootMetadata } from '../boot/report.ts';
import { cellSubject } from '../boot/subject.ts';
import type { Settings } from '../config/settings.ts';
import { type BuildImage, ensureBuildImage } from '../engine/build-image.ts';
import type { Engine } from '../engine/engine.ts';
import { ownerLabels, sweep, thisOwner } from '../engine/labels.ts';
import { Shelf } from '../engine/shelf.ts';
import { type ExitCode, errorData, exitCode, InterruptedError, OutputError, runExitCode } from '../errors.ts';
import { demandImage, inspectImage } from '../inspect/inspect.ts';
import { expectedSeconds, longestFirst } from '../plan/expected.ts';
import { inputHash } from '../plan/input-hash.ts';
import type { Cell } from '../plan/plan.ts';
import type { Listener } from '../report/events.ts';
import type { StoredSource } from '../sources/store.ts';
import { writeFileAtomic } from '../util/files.ts';
import { hashFile } from '../util/hash.ts';
import { cellFolder, outputError, place, stagingFolder, sweepWork, writeSums } from './artifacts.ts';
import { type BootChoice, BootStage, recordBoot, recordPlaced } from './boot-stage.ts';
import { Budget } from './budget.ts';
import { buildCell } from './cell.ts';
import { journal, lastSeconds } from './journal.ts';
import { type Metadata, metadataOf, unpinnedOf } from './metadata.ts';
import { RunSources } from './run-sources.ts';
import { ToolchainCache } from './toolchain-cache.ts';

/** Memory that the engine's machine must have for each cell side by side, in bytes, for cells to be built in memory. */
export const ROOM_FOR_MEMORY = 2 * 2 ** 30;

/** What a run needs of its surroundings. */
export interface RunContext {
  engine: Engine;
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
  const { engine, settings, signal } = context;
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
  const budget = new Budget(settings.cores, Math.min(settings.cells, cells.length));
  emit({
    type: 'run-started',
    run,
    cells: cells.map((cell) => cell.id),
    engine: `${engine.name} ${engine.version} (${engine.foundBy})`,
    cores: settings.cores,
    side: budget.slots,
    expected: Object.fromEntries(cells.map((cell) => [cell.id, took.get(cell.id) ?? expectedSeconds(cell)])),
  });
  const inMemory = engine.memory / budget.slots >= ROOM_FOR_MEMORY;
  const result: RunResult = { exit: 0, done: [], cached: [], failed: [] };
  const fetched = new RunSources(context, emit);
  const boot = context.boot && new BootStage({ ...context, emit, labels, choice: context.boot });
  const queue = new PQueue({ concurrency: budget.slots });
  // Cells that will still want cores: not started, and not known to need none.
  let wanting = cells.length;

  const fail = (cell: Cell, error: unknown, start: number, failedLog?: string) => {
    const reason = signal.aborted ? new InterruptedError() : error;
    result.failed.push({ cell: cell.id, error: reason });
    emit({ type: 'cell-failed', cell: cell.id, error: errorData(reason), exit: exitCode(reason), ms: Date.now() - start, log: failedLog });
  };

  const one = async (cell: Cell, image: BuildImage, shelf: Shelf): Promise<void> => {
    const start = Date.now();
    let counted = true;
    const countOff = () => {
      if (counted) wanting--;
      counted = false;
    };
    let failedLog: string | undefined;
    try {
      signal.throwIfAborted();
      let there = context.force ? undefined : await fetched.alreadyBuilt(cell, image);
      if (there && boot && !hasBooted(there, cell, context)) {
        emit({ type: 'cell-started', cell: cell.id, jobs: 1 });
        emit({ type: 'cell-phase', cell: cell.id, phase: 'boot' });
        there = await bootPlaced(cell, there, boot, context);
      }
      if (there) {
        result.cached.push(there);
        emit({
          type: 'cell-cached',
          cell: cell.id,
          image: there.image.file,
          sha256: there.image.sha256,
          size: there.image.size,
          unpinned: there.unpinned,
        });
        return;
      }
      const sources = await fetched.of(cell);
      countOff();
      const jobs = budget.take(wanting);
      try {
        emit({ type: 'cell-started', cell: cell.id, jobs });
        const metadata = await buildAndPlace(
          cell,
          sources,
          { ...context, emit },
          { image, labels, jobs, shelf, inMemory, boot, onLog: (path) => (failedLog = path) },
        );
        result.done.push(metadata);
        emit({
          type: 'cell-done',
          cell: cell.id,
          image: metadata.image.file,
          sha256: metadata.image.sha256,
          size: metadata.image.size,
          ms: Date.now() - start,
          unpinned: metadata.unpinned,
        });
      } finally {
        budget.give(jobs);
      }
    } catch (error) {
      fail(cell, error, start, failedLog);
    } finally {
      countOff();
    }
  };

  try {
    const swept = (await sweep(engine)) + (await sweepWork(settings.output));
    if (swept > 0) emit({ type: 'note', text: `removed ${swept} leftovers of a run that was killed` });
    const image = await ensureBuildImage(engine, { settings, labels, signal, say: (text) => emit({ type: 'note', text }) });
    const ordered = longestFirst(cells, took);
    const shelf = new Shelf(engine, image.id, labels, (text) => emit({ type: 'warning', text }));
    try {
      await queue.addAll(ordered.map((cell) => () => one(cell, image, shelf)));
    } finally {
      await shelf.remove();
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

/** Build, inspect, describe and move into place. What fails leaves nothing but, with --debug, its log. */
async function buildAndPlace(
  cell: Cell,
  sources: ReadonlyMap<string, StoredSource>,
  context: RunContext,
  work: {
    image: BuildImage;
    labels: Record<string, string>;
    jobs: number;
    shelf: Shelf;
    inMemory: boolean;
    boot: BootStage | undefined;
    onLog: (path: string) => void;
  },
): Promise<Metadata> {
  const { settings, engine, emit } = context;
  const { image } = work;
  const started = new Date();
  const staging = await stagingFolder(settings.output, cell.id);
  try {
    const { toolchain } = await buildCell(cell, sources, staging, {
      engine,
      image,
      labels: work.labels,
      limits: settings.limits,
      jobs: work.jobs,
      shelf: work.shelf,
      inMemory: work.inMemory,
      toolchains: context.force ? undefined : new ToolchainCache(join(settings.cache, 'toolchain')),
      signal: context.signal,
      onPhase: (phase) => emit({ type: 'cell-phase', cell: cell.id, phase }),
      warn: (text) => emit({ type: 'warning', text }),
    });
    emit({ type: 'cell-phase', cell: cell.id, phase: 'inspect' });
    const output = (role: string) => cell.recipe.outputs.find((entry) => entry.role === role)?.file;
    const file = output('image');
    if (file === undefined) throw new OutputError('OUTPUT_MISSING', `${cell.id}: its recipe names no image`);
    const bytes = await readFile(join(staging, file));
    const inspection = inspectImage(bytes);
    demandImage(inspection, cell);
    let booted: BootMetadata | undefined;
    if (work.boot && context.boot) {
      emit({ type: 'cell-phase', cell: cell.id, phase: 'boot' });
      const [report] = await work.boot.boot([cellSubject(cell, bytes, context.boot)]);
      if (report) booted = await recordBoot(report, staging);
    }
    const debug = output('debug');
    const metadata = metadataOf({
      cell,
      inputHash: inputHash(cell.recipe, image.digest, unpinnedOf(sources)),
      sources,
      manifest: image.manifest,
      inspection,
      image: { file, size: inspection.size, sha256: inspection.sha256 },
      debug: debug === undefined ? undefined : await digestOf(staging, debug),
      build: {
        engine: `${engine.name} ${engine.version}`,
        cores: work.jobs,
        started: started.toISOString(),
        seconds: Math.round((Date.now() - started.getTime()) / 100) / 10,
        limits: { timeMs: settings.limits.timeMs, memory: settings.limits.memory, pids: settings.limits.pids },
        ...(toolchain ? { toolchain } : {}),
      },
      boot: booted,
    });
    await writeFileAtomic(join(staging, 'metadata.json'), `${JSON.stringify(metadata, null, 2)}\n`);
    await place(staging, settings.output, cell);
    return metadata;
  } catch (error) {
    if (context.debug) {
      const folder = join(settings.output, 'failed');
      const keep = (log: string, name: string) => rename(join(staging, log), join(folder, name)).then(() => work.onLog(join(folder, name)));
      // Whatever becomes of the logs, the build's own error is the one to tell.
      await mkdir(folder, { recursive: true })
        .then(() => keep('build.log', `${cell.id}.log`))
        .then(() => keep(BOOT_LOG, `${cell.id}.boot.log`))
        .catch(() => {});
    }
    throw outputError(error, settings.output);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Whether an earlier run has booted an image with all cases that this one asks for. */
function hasBooted({ boot }: Metadata, cell: Cell, context: RunContext): boolean {
  const { cases } = cellSubject(cell, new Uint8Array(), context.boot as BootChoice);
  return boot?.ok === true && cases.every(({ name }) => boot.cases.some((done) => done.name === name));
}

/** Boot an image that an earlier run built and did not boot; what it is found to do goes into its metadata. */
async function bootPlaced(cell: Cell, there: Metadata, boot: BootStage, context: RunContext): Promise<Metadata> {
  const folder = cellFolder(context.settings.output, cell);
  const bytes = await readFile(join(folder, there.image.file));
  const [report] = await boot.boot([cellSubject(cell, bytes, context.boot as BootChoice)]);
  return report ? recordPlaced(report, folder, there) : there;
}

async function digestOf(folder: string, file: string): Promise<{ file: string; size: number; sha256: string }> {
  const { size, sha256 } = await hashFile(join(folder, file));
  return { file, size, sha256 };
}
