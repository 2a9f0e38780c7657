import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Container } from 'dockerode';
import { formatDuration } from '../config/units.ts';
import { getFiles, type PutFile, putFiles, readFileFrom } from '../engine/archive.ts';
import type { BuildImage } from '../engine/build-image.ts';
import { type Ended, runContainer } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { Workspace } from '../engine/workspace.ts';
import { type BuildCode, BuildError, OutputError, SourceError } from '../errors.ts';
import type { Cell } from '../plan/plan.ts';
import { applyEdits, editedFiles } from '../recipes/edits.ts';
import type { Recipe } from '../recipes/types.ts';
import type { StoredSource } from '../sources/store.ts';
import { BuildLog } from './log.ts';
import { buildEnvironment, buildScript, type Tarball, unpackScript } from './scripts.ts';

/** What building one cell needs of its run. */
export interface CellContext {
  engine: Engine;
  image: Pick<BuildImage, 'id'>;
  labels: Record<string, string>;
  limits: { timeMs: number; memory: number; pids: number };
  jobs: number;
  signal?: AbortSignal | undefined;
  onPhase: (phase: string) => void;
  warn: (text: string) => void;
}

/**
 * Build one cell in fresh containers around one volume: tarballs in and unpacked, edits applied, the recipe's steps
 * run without network, outputs out. Containers and volume are gone afterwards whatever happens.
 *
 * @param sources the recipe's sources, by name, verified
 * @param staging an existing folder that takes the outputs and `build.log`
 * @throws BuildError, OutputError OUTPUT_MISSING, SourceError EDIT_MISMATCH, EngineError; the signal's reason
 */
export async function buildCell(
  cell: Cell,
  sources: ReadonlyMap<string, StoredSource>,
  staging: string,
  context: CellContext,
): Promise<void> {
  const { engine, labels } = context;
  const deadline = Date.now() + context.limits.timeMs;
  const log = new BuildLog(join(staging, 'build.log'), context.onPhase);
  let workspace: Workspace | undefined;
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
    const place = await Workspace.create(engine, labels);
    workspace = place;
    const start = (command: string[]): Promise<Container> =>
      place.container({
        image: context.image.id,
        command,
        env: buildEnvironment(cell.recipe, context.jobs),
        labels,
        limits: context.limits,
      });
    context.onPhase('unpack');
    const unpack = await start(['sh', '/cell/in/unpack.sh']);
    await putFiles(unpack, '/cell', inputs(cell.recipe, sources));
    context.signal?.throwIfAborted();
    await finish(unpack, 'unpacking');
    if (cell.recipe.edits.length > 0) {
      context.onPhase('edit');
      await editTree(unpack, cell.recipe, log);
    }
    context.signal?.throwIfAborted();
    const build = await start(['sh', '/cell/in/build.sh']);
    await finish(build, 'the build');
    context.onPhase('collect');
    await collect(build, cell, staging);
  } finally {
    await log.close().catch((error: Error) => context.warn(`${cell.id}: its log could not be written: ${error.message}`));
    await workspace?.remove((text) => context.warn(`${cell.id}: ${text}`));
  }
}

/** Everything that goes into the volume before the first container starts. */
function inputs(recipe: Recipe, sources: ReadonlyMap<string, StoredSource>): PutFile[] {
  const tarballs = new Map<string, Tarball>();
  const files: PutFile[] = [];
  for (const [name, { record, path }] of sources) {
    const file = `${name}.${record.format}`;
    tarballs.set(name, { file, format: record.format });
    const wanted = recipe.sources.find((ref) => ref.name === name)?.top;
    if (recipe.placements.some((placement) => placement.source === name && placement.as !== undefined) && record.top !== wanted) {
      throw new SourceError('SOURCE_ARCHIVE_BROKEN', `${name}'s tarball cannot be used by the Makefile that unpacks it`, {
        expected: `a folder ${wanted} at its top`,
        got: record.top,
        hint: 'pack it anew with that folder, or give a git repository as its origin',
      });
    }
    files.push({ name: `in/${file}`, content: { path, size: record.size } });
  }
  const text = (name: string, content: string): PutFile => ({ name: `in/${name}`, content: Buffer.from(content) });
  return [
    ...files,
    text('unpack.sh', unpackScript(recipe.placements, tarballs)),
    text('build.sh', buildScript(recipe.steps)),
    ...Object.entries(recipe.files).map(([name, content]) => text(name, content)),
  ];
}

/** Read the files that edits name out of the tree, apply the edits, and put the results back. */
async function editTree(container: Container, recipe: Recipe, log: BuildLog): Promise<void> {
  const folders = new Map(
    recipe.placements.flatMap(({ source, unpack }) =>
      unpack === undefined ? [] : [[source, unpack === '.' ? '' : `${unpack}/`] as const],
    ),
  );
  const changed: PutFile[] = [];
  const homeless = recipe.edits.find((edit) => !folders.has(edit.source));
  if (homeless) {
    throw new SourceError('EDIT_MISMATCH', `the edit ${homeless.id} is for ${homeless.source}, which is not unpacked in this cell`, {
      expected: `one of ${[...folders.keys()].join(', ')}`,
      hint: "mend the edit's source or its version range (docs/edits.md)",
    });
  }
  for (const [source, folder] of folders) {
    const edits = recipe.edits.filter((edit) => edit.source === source);
    const names = new Set(edits.flatMap((edit) => [...editedFiles(edit).changed, ...editedFiles(edit).created]));
    const contents = new Map<string, Buffer | undefined>();
    const modes = new Map<string, number>();
    for (const name of names) {
      const file = await readFileFrom(container, `/cell/src/${folder}${name}`);
      if (file && file.type !== 'file')
        throw new SourceError('EDIT_MISMATCH', `${source}'s ${name} is a ${file.type}, not a plain file`, {
          hint: 'name the file that it leads to in the edit',
        });
      contents.set(name, file?.content);
      if (file) modes.set(name, file.mode);
    }
    for (const edit of edits) for (const added of edit.create ?? []) if (added.executable) modes.set(added.file, 0o755);
    for (const [name, content] of applyEdits(edits, contents))
      changed.push({ name: `src/${folder}${name}`, content, mode: modes.get(name) ?? 0o644 });
    for (const edit of edits) await log.say(`edit ${edit.id}: ${edit.what}`);
  }
  await putFiles(container, '/cell', changed);
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
  fail('BUILD_FAILED', `${what} ended with exit code ${ended.exitCode}`, '--debug keeps the whole log in <out>/failed');
}

/** Take the outputs out of the volume into the staging folder. */
async function collect(container: Container, cell: Cell, staging: string): Promise<void> {
  for (const { file, role } of cell.recipe.outputs) {
    let there = false;
    await getFiles(container, `/cell/out/${file}`, async (entry, content) => {
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
