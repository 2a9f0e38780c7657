import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { stagingFolder } from '../build/artifacts.ts';
import { buildCell } from '../build/cell.ts';
import type { Metadata } from '../build/metadata.ts';
import type { Engine } from '../engine/engine.ts';
import type { Shelf } from '../engine/shelf.ts';
import { BuildError, OutputError } from '../errors.ts';
import type { Cell } from '../plan/plan.ts';
import type { StoredSource } from '../sources/store.ts';
import { sha256 } from '../util/hash.ts';
import { explainDifference, type Finding } from './explain.ts';
import { usually, type Variation, varied } from './variations.ts';

/** An engine to build on, with what is there for it. */
export interface Site {
  engine: Engine;
  /** Id of the image to build in. */
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

/** What comparing gave; `blame` and `findings` are empty for the same bytes. */
export interface Outcome {
  ok: boolean;
  sha256: string | undefined;
  debug: boolean | undefined;
  /** Whether the image came about again with nothing varied. */
  steady: boolean;
  blame: string[];
  findings: Finding[];
  rebuilt: Rebuilt;
}

/**
 * Build a cell again under all variations at once and compare it with its image. Where that is another one: once more
 * under none and under each of them, to find which are to blame.
 *
 * @param first what stands in the output folder: metadata, and the image's bytes
 * @throws as buildCell
 */
export async function reproduceCell(
  cell: Cell,
  sources: ReadonlyMap<string, StoredSource>,
  first: { metadata: Metadata; image: Uint8Array },
  context: AgainContext,
): Promise<Outcome> {
  const { metadata, image } = first;
  const { variations } = context;
  const again = (chosen: readonly Variation[]) => build(cell, sources, metadata.build.cores, chosen, context);
  const rebuilt = await again(variations);
  // DWARF names the folders that things were compiled in: at another place the debug file is another one.
  const moved = variations.some(({ name }) => name === 'path');
  const debug = metadata.debug && rebuilt.debug && !moved ? sha256(rebuilt.debug) === metadata.debug.sha256 : undefined;
  const digest = rebuilt.image && sha256(rebuilt.image);
  if (digest === metadata.image.sha256) return { ok: true, sha256: digest, debug, steady: true, blame: [], findings: [], rebuilt };
  const differs = async (chosen: readonly Variation[]) => {
    context.onPhase(`blame: ${chosen.map(({ name }) => name).join() || 'nothing varied'}`);
    const { image: its } = await again(chosen);
    return !its || sha256(its) !== metadata.image.sha256;
  };
  const blame: string[] = [];
  const steady = variations.length > 0 && !(await differs([]));
  if (steady && variations.length === 1) blame.push(...variations.map(({ name }) => name));
  else if (steady) for (const variation of variations) if (await differs([variation])) blame.push(variation.name);
  const { failure } = rebuilt;
  const findings = failure
    ? [{ where: 'build', what: [failure.message, failure.got].join('\n') }]
    : explainDifference(image, rebuilt.image as Uint8Array);
  return { ok: false, sha256: digest, debug, steady, blame, findings, rebuilt };
}

async function build(
  cell: Cell,
  sources: ReadonlyMap<string, StoredSource>,
  cores: number,
  variations: readonly Variation[],
  context: AgainContext,
): Promise<Rebuilt> {
  const { surroundings, jobs, elsewhere } = varied(usually(cores), variations);
  const { engine, image, shelf } = (elsewhere ? context.there : undefined) ?? context.here;
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
  } catch (error) {
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
