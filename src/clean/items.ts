import { lstat, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { sweepWork } from '../build/artifacts.ts';
import { cacheFolder, type Settings } from '../config/settings.ts';
import { LABEL as BASE_IMAGE } from '../engine/base-image.ts';
import type { Engine } from '../engine/engine.ts';
import { engineName, statusOf } from '../engine/engine.ts';
import { LABEL } from '../engine/image.ts';
import { keptOn, removeKept } from '../engine/kept.ts';
import { leftoversOn, sweep } from '../engine/labels.ts';
import { errorData } from '../errors.ts';
import { ifThere } from '../util/files.ts';
import { processStart } from '../util/process-start.ts';

/** One thing that can be freed. */
export interface Item {
  kind: 'leftovers' | 'kept' | 'cache' | 'images' | 'store' | 'setup';
  /** What and where, for people. */
  what: string;
  /** How much it would free; undefined where that is not known before. */
  bytes: number | undefined;
  /** Why it is left alone now; undefined where it may go. */
  inUse?: string;
  /** Free it. Gives what could not be, if anything. */
  free: () => Promise<string | undefined>;
}

/** What looking needs. */
export interface CleanContext {
  settings: Settings;
  engines: readonly Engine[];
  /** What a run is using the machine's folders for now; undefined where none is. */
  running: string | undefined;
}

/** Everything that can be freed, but what set-up installed. */
export async function cleanItems(context: CleanContext): Promise<Item[]> {
  const { settings, engines, running } = context;
  const busy = running === undefined ? {} : { inUse: running };
  const items: Item[] = [];
  const works = await staleWork(settings.output);
  if (works.length > 0)
    items.push({
      kind: 'leftovers',
      what: `${works.length} work folders of killed runs in ${settings.output}`,
      bytes: await sizeOf(works),
      free: async () => void (await sweepWork(settings.output)),
    });
  for (const engine of engines) items.push(...(await onEngine(engine, busy)));
  items.push(
    ...(await folders('cache', 'toolchains and manifests', [join(settings.cache, 'toolchain'), join(cacheFolder(), 'manifests')], busy)),
  );
  const store = ['sha256', 'records', 'incoming'].map((name) => join(settings.store, name));
  items.push(...(await folders('store', `sources in ${settings.store}: those that were imported may be hard to have again`, store, busy)));
  return items;
}

async function folders(kind: Item['kind'], what: string, paths: string[], busy: { inUse?: string }): Promise<Item[]> {
  const bytes = await sizeOf(paths);
  if (bytes === 0) return [];
  const free = async () => {
    for (const path of paths) await rm(path, { recursive: true, force: true });
    return undefined;
  };
  return [{ kind, what, bytes, ...busy, free }];
}

async function onEngine(engine: Engine, busy: { inUse?: string }): Promise<Item[]> {
  const name = engineName(engine);
  const items: Item[] = [];
  const left = await leftoversOn(engine);
  if (left > 0)
    items.push({
      kind: 'leftovers',
      what: `${left} containers and volumes of killed runs on ${name}`,
      bytes: undefined,
      free: async () => void (await sweep(engine)),
    });
  for (const kept of await keptOn(engine))
    items.push({
      kind: 'kept',
      what: `the volume of ${kept.cell}, kept by build --debug, on ${name}`,
      bytes: undefined,
      free: () =>
        removeKept(engine, kept).then(
          () => undefined,
          (error) => errorData(error).message,
        ),
    });
  const labelled = [LABEL, BASE_IMAGE].map((label) => engine.docker.listImages({ filters: { label: [label] } }));
  const images = new Map((await Promise.all(labelled)).flat().map((image) => [image.Id, image]));
  for (const { Id, RepoTags, Size } of images.values()) {
    const tags = (RepoTags ?? []).filter((tag) => !tag.includes('<none>'));
    const used = await engine.docker.listContainers({ all: true, filters: { ancestor: [Id] } });
    items.push({
      kind: 'images',
      what: `${tags[0] ?? `an image without a name, ${Id.replace('sha256:', '').slice(0, 12)},`} on ${name}; less where it shares layers`,
      bytes: Size,
      ...(used.length > 0 ? { inUse: `${used.length} containers have it` } : busy),
      free: () => removeImage(engine, Id, tags),
    });
  }
  return items;
}

/** By its names: the last one takes the image with it, and what others have named stays. */
async function removeImage(engine: Engine, id: string, tags: readonly string[]): Promise<string | undefined> {
  const ours = tags.filter((tag) => /^(localhost\/)?pvgrub-forge-/.test(tag));
  try {
    for (const name of tags.length === 0 ? [id] : ours) await engine.docker.getImage(name).remove();
    return undefined;
  } catch (error) {
    return statusOf(error) === 404 ? undefined : (error as Error).message;
  }
}

/** Work folders in an output folder whose process is gone. */
async function staleWork(output: string): Promise<string[]> {
  const names = (await ifThere(readdir(output))) ?? [];
  return names.flatMap((name) => {
    const owner = /^\.work-(\d+)\.(\d+)\./.exec(name);
    return owner && processStart(Number(owner[1])) !== owner[2] ? [join(output, name)] : [];
  });
}

/** Bytes on disk of files and folders, links not followed. */
export async function sizeOf(paths: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const path of paths) {
    const found = await ifThere(lstat(path));
    if (!found) continue;
    bytes += found.isDirectory() ? await sizeOf((await readdir(path)).map((name) => join(path, name))) : found.blocks * 512;
  }
  return bytes;
}

/** Bytes that are free for this user where a folder is, or would be made; undefined where that cannot be told. */
export async function freeAt(path: string): Promise<number | undefined> {
  for (let at = path; ; at = join(at, '..')) {
    const there = await statfs(at).catch(() => undefined);
    if (there) return there.bavail * there.bsize;
    if (at === '/') return undefined;
  }
}
