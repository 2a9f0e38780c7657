import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Container } from 'dockerode';
import { formatDuration } from '../config/units.ts';
import { getFiles, type PutFile, putFiles } from '../engine/archive.ts';
import type { BuildImage } from '../engine/build-image.ts';
import { CELL, type ContainerSpec, type Ended, runContainer } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { keep } from '../engine/kept.ts';
import type { Held, Shelf } from '../engine/shelf.ts';
import { Workspace } from '../engine/workspace.ts';
import { type BuildCode, BuildError, OutputError } from '../errors.ts';
import type { Cell } from '../plan/plan.ts';
import type { Step } from '../recipes/types.ts';
import type { StoredSource } from '../sources/store.ts';
import { BuildLog } from './log.ts';
import {
  buildEnvironment,
  buildScript,
  INTO_MEMORY,
  INTO_MEMORY_REVERSED,
  partsOf,
  probeSteps,
  scriptCommand,
  TOOLCHAIN,
  TREE,
} from './scripts.ts';
import { type Continuation, shareToolchain, type ToolchainOutcome } from './shared-toolchain.ts';
import { placed, placedFiles, type Surroundings, USUAL } from './surroundings.ts';
import type { ToolchainCache } from './toolchain-cache.ts';
import { editedTree, treeInputs } from './tree.ts';

/** What building one cell needs of its run. */
export interface CellContext {
  engine: Engine;
  image: Pick<BuildImage, 'id' | 'digest'>;
  labels: Record<string, string>;
  limits: { timeMs: number; memory: number; pids: number };
  jobs: number;
  /** Where the sources lie on the engine's side. */
  shelf: Shelf;
  /** Build in memory, which saves time where the disk is slow in making files. */
  inMemory: boolean;
  /** Where toolchains are shared; undefined: every step is run. */
  toolchains?: ToolchainCache | undefined;
  /** {@link USUAL} if not said. */
  surroundings?: Surroundings | undefined;
  signal?: AbortSignal | undefined;
  onPhase: (phase: string) => void;
  warn: (text: string) => void;
  /** Where the build fails, keep its volume: told when that is done. */
  onKept?: (() => void) | undefined;
}

/**
 * Build one cell in fresh containers around one volume: tarballs in and unpacked, edits applied, the recipe's steps
 * run without network, outputs out. Containers and volume are gone afterwards whatever happens.
 *
 * @param sources the recipe's sources, by name, verified
 * @param staging an existing folder that takes the outputs and `build.log`
 * @returns what became of the toolchain, where that is shared
 * @throws BuildError, OutputError OUTPUT_MISSING, SourceError EDIT_MISMATCH, EngineError; the signal's reason
 */
export async function buildCell(
  cell: Cell,
  sources: ReadonlyMap<string, StoredSource>,
  staging: string,
  context: CellContext,
): Promise<{ toolchain: ToolchainOutcome | undefined }> {
  const { engine, labels, surroundings: around = USUAL } = context;
  const { place, user, umask } = around;
  const here = (text: string) => placed(text, place);
  const put = (container: Container, files: readonly PutFile[]) => putFiles(container, place, placedFiles(files, place), user);
  const script = (name: string, steps: readonly Step[]): PutFile => ({
    name: `in/${name}`,
    content: Buffer.from(buildScript(steps, umask)),
  });
  const deadline = Date.now() + context.limits.timeMs;
  const log = new BuildLog(join(staging, 'build.log'), context.onPhase);
  let workspace: Workspace | undefined;
  let held: Held | undefined;
  let kept = false;
  const finish = async (container: Container, what: string): Promise<void> => {
    const ended = await runContainer(container, {
      onOutput: (chunk) => log.write(chunk),
      timeoutMs: Math.max(1, deadline - Date.now()),
      signal: context.signal,
    });
    demandSuccess(ended, what, cell, log, context);
  };
  try {
    context.signal?.throwIfAborted();
    const ours = await Workspace.create(engine, labels);
    workspace = ours;
    const environment = Object.entries({ ...buildEnvironment(cell.recipe), JOBS: String(context.jobs), ...around.env });
    const start = (command: string[], more: Pick<ContainerSpec, 'inMemory' | 'reads'> = {}): Promise<Container> =>
      ours.container({
        ...more,
        image: context.image.id,
        command: command.map(here),
        env: Object.fromEntries(environment.map(([name, value]) => [name, here(value)])),
        host: around.host,
        place,
        ...(user === undefined ? {} : { user: `${user}:${user}` }),
        labels,
        limits: context.limits,
      });
    context.onPhase('unpack');
    const inputs = treeInputs(cell.recipe, sources, umask);
    held = await context.shelf.hold(inputs.shelf);
    const unpack = await start(scriptCommand('unpack.sh'), { reads: held.reads });
    await put(unpack, inputs.files);
    context.signal?.throwIfAborted();
    await finish(unpack, 'unpacking');
    if (cell.recipe.edits.length > 0) {
      context.onPhase('edit');
      const tree = here(TREE);
      await putFiles(unpack, tree, await editedTree(unpack, cell.recipe, tree), user);
      for (const { id, what } of cell.recipe.edits) await log.say(`edit ${id}: ${what}`);
    }
    context.signal?.throwIfAborted();
    let { steps } = cell.recipe;
    let last = unpack;
    let shared: Continuation | undefined;
    if (context.toolchains && cell.recipe.toolchain) {
      const { toolchain } = cell.recipe;
      await put(unpack, [script('probe.sh', [...partsOf(steps).before, ...probeSteps(toolchain)]), ...programs()]);
      last = await start(scriptCommand('probe.sh'));
      await finish(last, 'the build');
      shared = await shareToolchain(cell, toolchain, last, {
        cache: context.toolchains,
        image: context.image.digest,
        sources,
        staging,
        warn: context.warn,
      });
      steps = shared.steps;
    }
    if (context.inMemory) steps = [around.reversed ? INTO_MEMORY_REVERSED : INTO_MEMORY, ...steps];
    await put(last, [script('build.sh', steps), ...(shared?.files ?? [])]);
    context.signal?.throwIfAborted();
    const build = await start(scriptCommand('build.sh'), context.inMemory ? { inMemory: ['src', 'tmp'] } : {});
    await finish(build, 'the build');
    context.onPhase('collect');
    await collect(build, here(`${CELL}/out`), cell, staging);
    return { toolchain: await shared?.finish(build) };
  } catch (error) {
    if (context.onKept && workspace && !context.signal?.aborted) {
      const env = { ...buildEnvironment(cell.recipe), JOBS: String(context.jobs) };
      kept = await keep(engine, cell.id, workspace.volume, context.image.id, env).then(
        () => true,
        (problem: Error) => {
          context.warn(`${cell.id}: its volume could not be kept: ${problem.message}`);
          return false;
        },
      );
      if (kept) context.onKept();
    }
    throw error;
  } finally {
    await log.close().catch((error: Error) => context.warn(`${cell.id}: its log could not be written: ${error.message}`));
    const tell = (text: string) => context.warn(`${cell.id}: ${text}`);
    await (kept ? workspace?.removeContainers(tell) : workspace?.remove(tell));
    await held?.release();
  }
}

/** The programs that sharing a toolchain needs. */
function programs(): PutFile[] {
  return Object.entries(TOOLCHAIN.programs).map(([name, content]) => ({ name: `in/${name}`, content: Buffer.from(content), mode: 0o755 }));
}

/** What compilers, shells and make say when the kernel has killed a process for its memory: not every engine tells it. */
const OUT_OF_MEMORY = /Killed signal terminated program|virtual memory exhausted|Cannot allocate memory|(^|\] )Killed$/;

/** Turn a container's end into the right error. */
function demandSuccess(ended: Ended, what: string, cell: Cell, log: BuildLog, { limits }: CellContext): void {
  if (ended.exitCode === 0 && !ended.timedOut) return;
  const fail = (code: BuildCode, message: string, hint: string) => {
    const tail = log.last(12);
    throw new BuildError(code, `${cell.id}: ${message}`, {
      ...(tail.length > 0 ? { got: (log.firstError() ? [`${log.firstError()}`, '…', ...log.last(6)] : tail).join('\n') } : {}),
      hint,
    });
  };
  if (ended.timedOut)
    fail(
      'BUILD_TIMEOUT',
      `${what} ran longer than ${formatDuration(limits.timeMs)} and was stopped`,
      'raise limits.time in the configuration, or give it more cores',
    );
  if (ended.outOfMemory || log.has(OUT_OF_MEMORY)) {
    fail(
      'BUILD_OUT_OF_MEMORY',
      `${what} needed more memory than ${Math.round(limits.memory / 2 ** 20)} MiB`,
      'raise limits.memory in the configuration',
    );
  }
  if (log.has(/No space left on device/))
    fail(
      'BUILD_DISK_FULL',
      `no room left on the engine's disk during ${what}`,
      'make room where the engine keeps its volumes (a cell needs about 1 GB)',
    );
  fail(
    'BUILD_FAILED',
    `${what} ended with exit code ${ended.exitCode}`,
    '--debug keeps the whole log in <out>/failed, and the volume for pvgrub shell',
  );
}

/** Take the outputs out of the volume, where they are in a folder, into the staging folder. */
async function collect(container: Container, folder: string, cell: Cell, staging: string): Promise<void> {
  for (const { file, role } of cell.recipe.outputs) {
    let there = false;
    await getFiles(container, `${folder}/${file}`, async (entry, content) => {
      // A folder or a link under that name is no output.
      if (entry.type !== 'file' || entry.name !== file) return;
      await pipeline(content, createWriteStream(join(staging, file)));
      there = true;
    });
    if (!there)
      throw new OutputError('OUTPUT_MISSING', `${cell.id}: the build ended well but left no ${file} (${role})`, {
        hint: 'the build log tells what was made instead',
      });
  }
}
