import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { outputError, stagingFolder } from '../build/artifacts.ts';
import { buildCell } from '../build/cell.ts';
import type { Metadata } from '../build/metadata.ts';
import type { Engine } from '../engine/engine.ts';
import type { Shelf } from '../engine/shelf.ts';
import { BuildError, OutputError } from '../errors.ts';
import type { Cell } from '../plan/plan.ts';
import type { StoredSource } from '../sources/store.ts';
import { sha256 } from '../util/hash.ts';
import { explainDifference, type Finding } from './explain.ts';
import type { Blame } from './report.ts';
import { usually, type Variation, varied } from './variations.ts';

/** An engine to build on, with what is there for it. */
export interface Site {
  engine: Engine;
  /** Id of the build image, and of the one to build in under variations that need more. */
  plain: string;
  image: string;
  shelf: Shelf;
}

/** What building a cell again needs of its run. */
export interface AgainContext {
  here: Site;
  /** The other engine. */
  there: Site | undefined;
  digest: string;
  output: string;
  labels: Record<string, string>;
  limits: { timeMs: number; memory: number; pids: number };
  inMemory: boolean;
  variations: readonly Variation[];
  signal: AbortSignal;
  onPhase: (phase: string) => void;
  warn: (text: string) => void;
}

/** A cell that was built again, or whose build failed. */
export interface Rebuilt {
  image?: Buffer;
  debug?: Buffer;
  log: string;
  failure?: BuildError | OutputError;
}

/** What comparing gave. */
export interface Outcome {
  ok: boolean;
  sha256: string | undefined;
  debug: boolean | undefined;
  /** Empty for the same bytes. */
  findings: Finding[];
  rebuilt: Rebuilt;
}

/**
 * Build a cell again under all variations at once and compare it with its image.
 * @param first what stands in the output folder: metadata, and the image's bytes
 * @throws as buildCell
 */
export async function reproduceCell(
  cell: Cell,
  sources: ReadonlyMap<string, StoredSource>,
  { metadata, image }: { metadata: Metadata; image: Uint8Array },
  context: AgainContext,
): Promise<Outcome> {
  const { variations } = context;
  const rebuilt = await build(cell, sources, metadata.build.cores, variations, context);
  // DWARF names the folders that things were compiled in: at another place the debug file is another one.
  const moved = variations.some(({ name }) => name === 'path');
  const debug = metadata.debug && rebuilt.debug && !moved ? sha256(rebuilt.debug) === metadata.debug.sha256 : undefined;
  const digest = rebuilt.image && sha256(rebuilt.image);
  const ok = digest === metadata.image.sha256;
  const { failure } = rebuilt;
  const findings = failure
    ? [{ where: 'build', what: [failure.message, failure.got].join('\n') }]
    : ok
      ? []
      : explainDifference(image, rebuilt.image as Uint8Array);
  return { ok, sha256: digest, debug, findings, rebuilt };
}

/**
 * Find what makes a cell another image: build it again with nothing varied, and then under each variation alone.
 * @throws as buildCell
 */
export async function findBlame(
  cell: Cell,
  sources: ReadonlyMap<string, StoredSource>,
  { build: { cores }, image }: Metadata,
  context: AgainContext,
): Promise<Blame> {
  const differs = async (chosen: readonly Variation[]) => {
    context.onPhase(`blame: ${chosen.map(({ name }) => name).join() || 'nothing varied'}`);
    const { image: its } = await build(cell, sources, cores, chosen, context);
    if (!its) return 'fails';
    return sha256(its) === image.sha256 ? 'same' : 'differs';
  };
  const unvaried = await differs([]);
  const blame: string[] = [];
  if (unvaried === 'same')
    for (const variation of context.variations) if ((await differs([variation])) !== 'same') blame.push(variation.name);
  return { unvaried, blame };
}

async function build(
  cell: Cell,
  sources: ReadonlyMap<string, StoredSource>,
  cores: number,
  variations: readonly Variation[],
  context: AgainContext,
): Promise<Rebuilt> {
  const { surroundings, jobs, elsewhere } = varied(usually(cores), variations);
  const { engine, shelf, ...site } = (elsewhere ? context.there : undefined) ?? context.here;
  const image = variations.some(({ needsImage }) => needsImage) ? site.image : site.plain;
  const staging = await stagingFolder(context.output, cell.id);
  try {
    await buildCell(cell, sources, staging, {
      engine,
      image: { id: image, digest: context.digest },
      labels: context.labels,
      limits: context.limits,
      jobs,
      shelf,
      inMemory: context.inMemory,
      surroundings,
      signal: context.signal,
      onPhase: context.onPhase,
      warn: context.warn,
    });
    const outputs = cell.recipe.outputs.map(async ({ file, role }) => [role, await readFile(join(staging, file))] as const);
    return { ...Object.fromEntries(await Promise.all(outputs)), log: await logOf(staging) };
  } catch (thrown) {
    const error = outputError(thrown, context.output);
    // That a variation makes the build fail is an answer; one that ran out of memory, time or disk is none.
    if (!(error instanceof OutputError || (error instanceof BuildError && error.code === 'BUILD_FAILED'))) throw error;
    return { log: await logOf(staging), failure: error };
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** The log of a build in a folder. */
function logOf(staging: string): Promise<string> {
  return readFile(join(staging, 'build.log'), 'utf8');
}
