import { createReadStream, createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { extract, pack } from 'tar-stream';
import { EngineError, ForgeError, isDiskFull, SourceError } from '../errors.ts';
import type { SourceRecord, Store, StoredSource } from '../sources/store.ts';
import { besides } from '../util/files.ts';
import type { BuildImage } from './build-image.ts';
import { createContainer, removeContainer } from './container.ts';
import { type Engine, engineError } from './engine.ts';
import type { Manifest } from './manifest.ts';
import { followProgress } from './progress-stream.ts';

/**
 * A build image as an item of the store, like any source: a gzipped tar with one folder, in it `image.json` (manifest and
 * configuration) and `rootfs.tar` (all files). Its name there is `build-image`, its version the digest of its manifest.
 */

export const BUILD_IMAGE = 'build-image';

/** What `image.json` says. */
export interface ArchivedImage {
  schema: 1;
  manifest: Manifest;
  config: { Env: string[]; User: string; WorkingDir: string };
}

/** What the engine puts into a container beside the image's own files, and what never belongs to an image. */
const NOT_OF_IMAGE = /^(\.dockerenv|dev\/.+|proc\/.+|sys\/.+|run\/\.containerenv|etc\/(hostname|hosts|resolv\.conf|mtab))$/;

/** What an archive is called, and the folder inside. */
function nameOf(digest: string): string {
  return `${BUILD_IMAGE}-${digest.slice(0, 16)}`;
}

/** Every archive of a build image that the store has. */
export async function archivedImages(store: Store): Promise<SourceRecord[]> {
  return (await store.list()).filter(({ name }) => name === BUILD_IMAGE);
}

/** The archive of the build image with this manifest that the store has; undefined where there is none. */
export function archivedImage(store: Store, digest: string): Promise<StoredSource | undefined> {
  // Whatever is there was made here, or let in by --trust.
  return store.find({ name: BUILD_IMAGE, version: digest, pins: {} }, true);
}

/**
 * Put a build image into the store.
 * @throws EngineError ENGINE_LOST, SourceError STORE_DISK_FULL
 */
export async function archiveImage(
  engine: Engine,
  { id, manifest, digest }: Pick<BuildImage, 'id' | 'manifest' | 'digest'>,
  store: Store,
  labels: Record<string, string>,
  signal?: AbortSignal,
): Promise<StoredSource> {
  const incoming = await store.incoming();
  const rootfs = besides(join(incoming, `${nameOf(digest)}.rootfs`));
  const archive = besides(join(incoming, nameOf(digest)));
  try {
    const config = await exportFiles(engine, id, rootfs, labels, signal);
    const image = parseImage(JSON.stringify({ schema: 1, manifest, config } satisfies ArchivedImage));
    await wrap(image, rootfs, nameOf(digest), archive);
    signal?.throwIfAborted();
    return await store.add(archive, {
      ref: { name: BUILD_IMAGE, version: digest, file: `${nameOf(digest)}.tar.gz`, pins: {} },
      origin: `exported from ${engine.name}`,
      trusted: true,
    });
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw new SourceError('STORE_DISK_FULL', `no room left in ${store.folder} for the build image`, {
      hint: 'make room there (2 GB), or give another folder with --store',
      cause: error,
    });
  } finally {
    await rm(rootfs, { force: true });
    await rm(archive, { force: true });
  }
}

/** All files of an image as a tar on disk, without what the engine adds, and what of its configuration counts. */
async function exportFiles(
  engine: Engine,
  image: string,
  path: string,
  labels: Record<string, string>,
  signal?: AbortSignal,
): Promise<ArchivedImage['config']> {
  const limits = { memory: 512 * 2 ** 20, pids: 64 };
  const container = await createContainer(engine, { image, command: ['true'], env: {}, labels, limits });
  try {
    const { Config } = await engine.docker.getImage(image).inspect();
    const stream = (await container.export({ ...(signal ? { abortSignal: signal } : {}) })) as unknown as Readable;
    const parser = extract();
    const out = pack();
    const tail = new Tail();
    const reading = pipeline(stream, tail, parser);
    const writing = pipeline(out, createWriteStream(path));
    for (const one of [reading, writing]) one.catch(() => {});
    reading.catch((error: Error) => out.destroy(error));
    const copying = (async () => {
      for await (const entry of parser) {
        const { header } = entry;
        if (NOT_OF_IMAGE.test(header.name.replace(/^\.?\/+/, '').replace(/\/$/, ''))) entry.resume();
        // Making the container touches folders: their times say nothing.
        else if (header.type === 'directory') {
          out.entry({ ...header, mtime: new Date(0) });
          entry.resume();
        } else if (header.type === 'file') await pipeline(entry as unknown as Readable, out.entry(header));
        else {
          out.entry(header);
          entry.resume();
        }
      }
      await reading;
      // A tar that was cut between two files is none to notice for whoever reads it.
      if (!tail.ended) throw new EngineError('ENGINE_LOST', "the engine's answer was cut while exporting the build image");
      out.finalize();
      await writing;
    })();
    // A disk that is full ends the writing first; what feeds it would wait for ever.
    writing.catch((error: Error) => {
      out.destroy(error);
      parser.destroy(error);
    });
    await Promise.all([copying, writing]);
    return { Env: Config.Env ?? [], User: Config.User ?? '', WorkingDir: Config.WorkingDir ?? '' };
  } catch (error) {
    signal?.throwIfAborted();
    if (isDiskFull(error) || error instanceof ForgeError) throw error;
    throw engineError(error, 'exporting the build image');
  } finally {
    await removeContainer(container);
  }
}

/** Passes a tar on, and knows whether it ended as one does: with two empty blocks. */
class Tail extends Transform {
  private last = Buffer.alloc(0);
  get ended(): boolean {
    return this.last.length === 1024 && this.last.every((byte) => byte === 0);
  }
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.last = Buffer.concat([this.last, chunk.subarray(-1024)]).subarray(-1024);
    done(null, chunk);
  }
}

async function wrap(image: ArchivedImage, rootfs: string, folder: string, path: string): Promise<void> {
  const tar = pack();
  const text = Buffer.from(`${JSON.stringify(image, null, 2)}\n`);
  const common = { mode: 0o644, mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '' };
  const { size } = await stat(rootfs);
  const fill = async () => {
    tar.entry({ ...common, name: `${folder}/`, type: 'directory', mode: 0o755 });
    tar.entry({ ...common, name: `${folder}/image.json`, size: text.length }, text).on('error', () => {});
    await pipeline(createReadStream(rootfs, { highWaterMark: 1 << 20 }), tar.entry({ ...common, name: `${folder}/rootfs.tar`, size }));
    tar.finalize();
  };
  await Promise.all([
    // Level 3: half the size in a third of the time that level 6 takes.
    pipeline(tar, createGzip({ level: 3 }), createWriteStream(path)),
    fill().catch((error: Error) => {
      tar.destroy(error);
      throw error;
    }),
  ]);
}

/**
 * Read an archive: what it says of itself and, where `take` is given, its files.
 * @throws SourceError SOURCE_ARCHIVE_BROKEN
 */
export async function readImageArchive(
  path: string,
  take?: (image: ArchivedImage, rootfs: Readable) => Promise<void>,
): Promise<ArchivedImage> {
  const broken = (why: string) =>
    new SourceError('SOURCE_ARCHIVE_BROKEN', `${path} is no archive of a build image: ${why}`, {
      hint: 'export it again where it was made',
    });
  const parser = extract();
  const file = createReadStream(path, { highWaterMark: 1 << 20 });
  const reading = pipeline(file, createGunzip(), parser);
  reading.catch(() => {});
  let image: ArchivedImage | undefined;
  let taken = false;
  try {
    for await (const entry of parser) {
      const name = entry.header.name.replace(/^[^/]*\//, '');
      if (name === 'image.json' && (entry.header.size ?? 0) < 2 ** 20) {
        const chunks: Buffer[] = [];
        for await (const chunk of entry) chunks.push(chunk as Buffer);
        image = parseImage(Buffer.concat(chunks).toString('utf8'));
        if (!take) return image;
      } else if (name === 'rootfs.tar' && image && take) {
        await take(image, entry as unknown as Readable);
        taken = true;
      }
      entry.resume();
    }
    await reading;
  } catch (error) {
    if (error instanceof ForgeError) throw error;
    throw broken((error as Error).message);
  } finally {
    file.destroy();
  }
  if (!image || !taken) throw broken(image ? 'it has no files' : 'it does not say which image it is');
  return image;
}

function parseImage(text: string): ArchivedImage {
  const image = JSON.parse(text) as ArchivedImage;
  const { manifest, config } = image;
  const words = (list: unknown, form: RegExp) => Array.isArray(list) && list.every((one) => typeof one === 'string' && form.test(one));
  const right =
    image.schema === 1 &&
    /^[0-9a-f]{64}$/.test(manifest.dockerfile) &&
    words(manifest.packages, /^[\w.+-]+:\w+=[\w.+:~-]+$/) &&
    /^[\x20-\x7e]{0,500}$/.test(manifest.base) &&
    words(config.Env, /^\w+=[\x20-\x7e]*$/) &&
    words([config.User, config.WorkingDir], /^[\w./:-]*$/);
  if (!right) throw new Error('image.json has not what it should have');
  return image;
}

/** A value as an instruction of a Dockerfile has it: nothing in it is filled in. */
function quoted(value: string): string {
  return JSON.stringify(value).replaceAll('$', '\\$');
}

/**
 * Make the image of an archive on an engine, without a name.
 * @param labels what it is marked with
 * @returns its id there, and what the archive says of it
 * @throws EngineError IMAGE_BUILD_FAILED, ENGINE_LOST; SourceError SOURCE_ARCHIVE_BROKEN
 */
export async function importImage(
  engine: Engine,
  archive: string,
  labels: (image: ArchivedImage) => Record<string, string>,
): Promise<{ id: string; manifest: Manifest }> {
  let id: string | undefined;
  const { manifest } = await readImageArchive(archive, async (image, rootfs) => {
    const { Env, User, WorkingDir } = image.config;
    const changes = [
      ...Env.map((one) => `ENV ${one.slice(0, one.indexOf('='))}=${quoted(one.slice(one.indexOf('=') + 1))}`),
      ...(User ? [`USER ${User}`] : []),
      ...(WorkingDir ? [`WORKDIR ${WorkingDir}`] : []),
      ...Object.entries(labels(image)).map(([name, value]) => `LABEL ${name}=${quoted(value)}`),
    ];
    try {
      const answer = (await engine.docker.importImage(rootfs as unknown as string, { changes })) as unknown as Readable;
      id = (await followProgress(answer, 'importing the build image')).findLast((message) => message.status)?.status;
    } catch (error) {
      throw engineError(error, 'importing the build image');
    }
  });
  if (id === undefined) throw new EngineError('IMAGE_BUILD_FAILED', 'the engine does not say what it imported');
  return { id, manifest };
}
