import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { cellFolder, readMetadata, sweepWork } from '../build/artifacts.ts';
import { Budget, type Share, shareOf } from '../build/budget.ts';
import { ROOM_FOR_MEMORY } from '../build/farm.ts';
import { lastSeconds } from '../build/journal.ts';
import type { Metadata } from '../build/metadata.ts';
import { RunSources } from '../build/run-sources.ts';
import type { Settings } from '../config/settings.ts';
import { type BuildImage, ensureBuildImage, sameBuildImage } from '../engine/build-image.ts';
import type { Engine } from '../engine/engine.ts';
import { ownerLabels, sweep, thisOwner } from '../engine/labels.ts';
import { Shelf } from '../engine/shelf.ts';
import { EngineError, type ExitCode, errorData, exitCode, InterruptedError, OutputError, runExitCode, UsageError } from '../errors.ts';
import { expectedSeconds, longestFirst } from '../plan/expected.ts';
import type { Cell } from '../plan/plan.ts';
import type { Listener } from '../report/events.ts';
import { writeFileAtomic } from '../util/files.ts';
import { findBlame, type Outcome, reproduceCell, type Site } from './cell.ts';
import { ensureReproduceImage } from './image.ts';
import { keepDifference } from './keep.ts';
import { type ReproduceMetadata, weightier } from './report.ts';
import { usually, type Variation, varied } from './variations.ts';

/** What reproducing needs of its surroundings. */
export interface ReproduceContext {
  engine: Engine;
  /** What may be used of it; all if not said. */
  share?: Share;
  /** For the variation `engine`. */
  other?: Engine | undefined;
  settings: Settings;
  cwd: string;
  emit: Listener;
  signal: AbortSignal;
  variations: readonly Variation[];
}

/** What became of the cells. */
export interface ReproduceResult {
  exit: ExitCode;
  same: Metadata[];
  failed: { cell: string; error: unknown }[];
}

/**
 * Build cells again under variations, side by side, and compare each with its image in the output folder; what comes
 * of it goes into the image's metadata. Failures are in the result; one that differs is a {@link ReproduceError}, and
 * what explains it is in `<output>/failed/`.
 */
export async function runReproduce(cells: readonly Cell[], context: ReproduceContext): Promise<ReproduceResult> {
  const { engine, settings, signal, emit } = context;
  const id = randomBytes(8).toString('hex');
  const labels = ownerLabels(thisOwner(id));
  const begun = Date.now();
  const took = await lastSeconds(settings.output).catch(() => new Map<string, number>());
  const share = context.share ?? shareOf(engine, settings);
  const side = new Budget(share.cores, Math.min(share.cells, cells.length)).slots;
  emit({
    type: 'run-started',
    run: id,
    cells: cells.map((cell) => cell.id),
    engines: [`${engine.name} ${engine.version} (${engine.foundBy})`],
    cores: share.cores,
    side,
    expected: Object.fromEntries(cells.map((cell) => [cell.id, took.get(cell.id) ?? expectedSeconds(cell)])),
  });
  const result: ReproduceResult = { exit: 0, same: [], failed: [] };
  const fail = (cell: Cell, error: unknown, start: number) => {
    const reason = signal.aborted ? new InterruptedError() : error;
    result.failed.push({ cell: cell.id, error: reason });
    emit({ type: 'cell-failed', cell: cell.id, error: errorData(reason), exit: exitCode(reason), ms: Date.now() - start, log: undefined });
  };
  const warn = (text: string) => emit({ type: 'warning', text });
  const sources = new RunSources(context, emit);
  const shelves: Shelf[] = [];
  try {
    const { other } = context;
    const swept = (await sweep(engine)) + (other ? await sweep(other) : 0) + (await sweepWork(settings.output));
    if (swept > 0) emit({ type: 'note', text: `removed ${swept} leftovers of a run that was killed` });
    const options = { settings, labels, signal, say: (text: string) => emit({ type: 'note', text }) };
    const image = await ensureBuildImage(engine, options);
    const memory = Math.min(engine.memory, other?.memory ?? engine.memory);
    const inMemory = memory / side >= ROOM_FOR_MEMORY;
    const { here, there, variations } = await sites(image, inMemory, context, options, shelves);
    if (variations.length === 0 && context.variations.length > 0)
      throw new UsageError('OPTION_INVALID', 'none of these variations can be applied here', {
        hint: 'see what is said of each above, and --vary',
      });
    emit({ type: 'note', text: `variations: ${variations.map(({ name }) => name).join(', ') || 'none'}` });

    const one = async (cell: Cell): Promise<void> => {
      const start = Date.now();
      try {
        signal.throwIfAborted();
        const metadata = await sources.alreadyBuilt(cell, image);
        if (!metadata) throw notBuilt(cell, settings.output);
        const folder = cellFolder(settings.output, cell);
        const first = { metadata, image: await readFile(join(folder, metadata.image.file)) };
        const verified = await sources.of(cell);
        emit({ type: 'cell-started', cell: cell.id, jobs: varied(usually(metadata.build.cores), variations).jobs });
        const again = {
          here,
          there,
          digest: image.digest,
          output: settings.output,
          labels,
          limits: settings.limits,
          inMemory,
          variations,
          signal,
          onPhase: (phase: string) => emit({ type: 'cell-phase', cell: cell.id, phase }),
          warn,
        };
        const outcome = await reproduceCell(cell, verified, first, again);
        const builder = there?.engine ?? engine;
        const written = { engine: `${builder.name} ${builder.version}`, variations: variations.map(({ name }) => name) };
        const amended = await record(folder, metadata, { ...written, ...found(outcome) });
        if (outcome.debug === false) warn(`${cell.id}: its image is the same again, its debug file is not`);
        if (!outcome.ok) {
          // What was seen is kept first: finding the blame takes many builds, any of which may be stopped.
          const differs = await keepDifference(cell, metadata, first.image, outcome, { output: settings.output, signal, warn });
          const blame = await findBlame(cell, verified, metadata, again).catch((error: Error) => {
            signal.throwIfAborted();
            // That it differs is proved; what is to blame is not.
            warn(`${cell.id}: what is to blame could not be found out: ${error.message}`);
            return {};
          });
          await record(folder, metadata, { ...written, ...found(outcome), ...blame });
          throw await differs(blame);
        }
        result.same.push(amended);
        const { size, sha256 } = metadata.image;
        emit({ type: 'cell-reproduced', cell: cell.id, sha256, size, ms: Date.now() - start, unpinned: metadata.unpinned });
      } catch (error) {
        fail(cell, error, start);
      }
    };
    const queue = new PQueue({ concurrency: side });
    await queue.addAll(longestFirst(cells, took).map((cell) => () => one(cell)));
  } catch (error) {
    // No cell was begun.
    for (const cell of cells) fail(cell, error, begun);
  } finally {
    for (const shelf of shelves) await shelf.remove();
  }
  result.exit = runExitCode(result.failed.map(({ error }) => error));
  const { same, failed, exit } = result;
  emit({ type: 'run-finished', run: id, ms: Date.now() - begun, done: same.length, cached: 0, failed: failed.length, exit });
  return result;
}

/** The engines and images to build on, and those of the variations that can be applied there; the others are told. */
async function sites(
  image: BuildImage,
  inMemory: boolean,
  { engine, other, variations: wanted, emit }: ReproduceContext,
  options: Parameters<typeof ensureBuildImage>[1],
  shelves: Shelf[],
): Promise<{ here: Site; there: Site | undefined; variations: Variation[] }> {
  const without = new Map<string, string>();
  if (!other) without.set('engine', 'no other engine is given (--other-engine)');
  if (!inMemory) without.set('order', 'the engine has not 2 GiB for each cell side by side, and a disk has an order of its own');
  const site = async (engine: Engine, built: BuildImage): Promise<Site> => {
    const reproduction = wanted.some(({ needsImage }) => needsImage) ? await reproduceImage(engine, built) : undefined;
    const shelf = new Shelf(engine, built.id, options.labels, (text) => emit({ type: 'warning', text }));
    shelves.push(shelf);
    return { engine, plain: built.id, image: reproduction ?? built.id, shelf };
  };
  const reproduceImage = async (engine: Engine, built: BuildImage): Promise<string | undefined> => {
    try {
      return await ensureReproduceImage(engine, built, options);
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== 'BASE_UNAVAILABLE') throw error;
      for (const { name, needsImage } of wanted) if (needsImage) without.set(name, error.message);
      return undefined;
    }
  };
  const here = await site(engine, image);
  let there: Site | undefined;
  if (other && wanted.some(({ name }) => name === 'engine')) {
    // The very same packages, from its own store of images or from the archive in ours; nothing is remembered of it.
    there = await site(other, await sameBuildImage(other, image, options));
  }
  for (const { name } of wanted) if (without.has(name)) emit({ type: 'warning', text: `not varied: ${name}: ${without.get(name)}` });
  return { here, there, variations: wanted.filter(({ name }) => !without.has(name)) };
}

function notBuilt(cell: Cell, output: string): OutputError {
  return new OutputError('OUTPUT_MISSING', `${cell.id} is not built from the present inputs in ${output}`, {
    hint: `pvgrub build ${cell.id} first, with the same --out, --origin and --trust; pvgrub matrix --why tells what has changed`,
  });
}

/** What an outcome writes into metadata. */
function found({ ok, debug, sha256, findings }: Outcome): Pick<ReproduceMetadata, 'ok' | 'debug' | 'sha256' | 'findings'> {
  return {
    ok,
    ...(debug === undefined ? {} : { debug }),
    ...(ok ? {} : { ...(sha256 === undefined ? {} : { sha256 }), findings }),
  };
}

/** Write down what comparing gave in the metadata of the image that it was compared with. */
async function record(folder: string, { image }: Metadata, what: Omit<ReproduceMetadata, 'when'>): Promise<Metadata> {
  const made: ReproduceMetadata = { ...what, when: new Date().toISOString() };
  // It took a while: the image may have been replaced, or booted, meanwhile.
  const now = await readMetadata(folder);
  if (now?.image.sha256 !== image.sha256)
    throw new OutputError('OUTPUT_DIFFERS', `${join(folder, image.file)} was replaced while it was built again`, { hint: 'run again' });
  // Only some runs can tell of the debug file: what the last of them said stays.
  const debug = made.debug ?? now.reproduced?.debug;
  const amended = { ...now, reproduced: { ...weightier(now.reproduced, made), ...(debug === undefined ? {} : { debug }) } };
  await writeFileAtomic(join(folder, 'metadata.json'), `${JSON.stringify(amended, null, 2)}\n`);
  return amended;
}
