import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BOOT_LOG, type BootMetadata } from '../boot/report.ts';
import { cellSubject } from '../boot/subject.ts';
import type { Settings } from '../config/settings.ts';
import type { Engine } from '../engine/engine.ts';
import { keptName } from '../engine/kept.ts';
import { OutputError } from '../errors.ts';
import { demandImage, inspectImage } from '../inspect/inspect.ts';
import { inputHash } from '../plan/input-hash.ts';
import type { Cell } from '../plan/plan.ts';
import type { Listener } from '../report/events.ts';
import type { StoredSource } from '../sources/store.ts';
import { writeFileAtomic } from '../util/files.ts';
import { hashFile } from '../util/hash.ts';
import { cellFolder, outputError, place, stagingFolder } from './artifacts.ts';
import { type BootChoice, type BootStage, recordBoot, recordPlaced } from './boot-stage.ts';
import { buildCell } from './cell.ts';
import type { Site } from './farm.ts';
import { type Metadata, metadataOf, unpinnedOf } from './metadata.ts';
import { ToolchainCache } from './toolchain-cache.ts';

/** What building and booting one cell needs of its run. */
export interface PlaceContext {
  settings: Settings;
  emit: Listener;
  force: boolean;
  debug: boolean;
  boot?: BootChoice | undefined;
}

/** Build, inspect, describe and move into place. What fails leaves nothing but, with --debug, its log. */
export async function buildAndPlace(
  cell: Cell,
  sources: ReadonlyMap<string, StoredSource>,
  site: Site,
  context: PlaceContext,
  work: { labels: Record<string, string>; jobs: number; onLog: (path: string) => void },
): Promise<Metadata> {
  const { settings, emit } = context;
  const { engine, image } = site;
  const started = new Date();
  const staging = await stagingFolder(settings.output, cell.id);
  try {
    const { toolchain } = await buildCell(cell, sources, staging, {
      engine,
      image,
      labels: work.labels,
      limits: settings.limits,
      jobs: work.jobs,
      shelf: site.shelf,
      // What is in memory is gone with its container.
      inMemory: site.inMemory && !context.debug,
      toolchains: context.force ? undefined : new ToolchainCache(join(settings.cache, 'toolchain')),
      signal: site.signal,
      onPhase: (phase) => emit({ type: 'cell-phase', cell: cell.id, phase }),
      warn: (text) => emit({ type: 'warning', text }),
      ...(context.debug ? { onKept: () => emit({ type: 'note', text: keptText(cell.id, engine) }) } : {}),
    });
    emit({ type: 'cell-phase', cell: cell.id, phase: 'inspect' });
    const output = (role: string) => cell.recipe.outputs.find((entry) => entry.role === role)?.file;
    const file = output('image');
    if (file === undefined) throw new OutputError('OUTPUT_MISSING', `${cell.id}: its recipe names no image`);
    const bytes = await readFile(join(staging, file));
    const inspection = inspectImage(bytes);
    demandImage(inspection, cell);
    let booted: BootMetadata | undefined;
    if (site.boot && context.boot) {
      emit({ type: 'cell-phase', cell: cell.id, phase: 'boot' });
      const [report] = await site.boot.boot([cellSubject(cell, bytes, context.boot)]);
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
export function hasBooted({ boot }: Metadata, cell: Cell, choice: BootChoice): boolean {
  const { cases } = cellSubject(cell, new Uint8Array(), choice);
  return boot?.ok === true && cases.every(({ name }) => boot.cases.some((done) => done.name === name));
}

/** Boot an image that an earlier run built and did not boot; what it is found to do goes into its metadata. */
export async function bootPlaced(
  cell: Cell,
  there: Metadata,
  boot: BootStage,
  { settings, choice }: { settings: Settings; choice: BootChoice },
): Promise<Metadata> {
  const folder = cellFolder(settings.output, cell);
  const bytes = await readFile(join(folder, there.image.file));
  const [report] = await boot.boot([cellSubject(cell, bytes, choice)]);
  return report ? recordPlaced(report, folder, there) : there;
}

async function digestOf(folder: string, file: string): Promise<{ file: string; size: number; sha256: string }> {
  const { size, sha256 } = await hashFile(join(folder, file));
  return { file, size, sha256 };
}

/** How to get a shell with what is kept of a cell. */
function keptText(cell: string, { name, endpoint, foundBy }: Engine): string {
  const own = foundBy === 'our private engine';
  const client = name === 'podman' ? `podman --url ${endpoint}` : `docker -H ${endpoint}`;
  return `${cell}: its volume is kept; a shell with it: pvgrub shell ${cell}${own ? '' : `\n  or: ${client} start -ai ${keptName(cell)}`}`;
}
