import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Container } from 'dockerode';
import { extract, type Pack, pack } from 'tar-stream';
import { EngineError, ForgeError, isDiskFull } from '../errors.ts';
import { engineError, statusOf } from './engine.ts';

/** A file to put into a container; content in memory, or a file on disk with its size in bytes, or as much of one from `start` on. */
export interface PutFile {
  /** Path below the folder given. */
  name: string;
  content: Uint8Array | { path: string; size: number; start?: number };
  mode?: number;
}

/** The user and group that cells' files belong to, in the build image. */
export const BUILD_UID = 1000;

/** Write files into a tar pack: one owner, fixed time. Folders of the names are written before them. */
async function fill(tar: Pack, files: readonly PutFile[], owner: number): Promise<void> {
  // A number as mtime would become the present time when it is 0 (tar-stream).
  const common = { uid: owner, gid: owner, uname: '', gname: '', mtime: new Date(0) };
  const folders = new Set<string>();
  for (const { name } of files) {
    const parts = name.split('/').slice(0, -1);
    for (let i = 1; i <= parts.length; i++) folders.add(`${parts.slice(0, i).join('/')}/`);
  }
  for (const name of folders) tar.entry({ ...common, name, type: 'directory', mode: 0o755 });
  for (const { name, content, mode = 0o644 } of files) {
    if (content instanceof Uint8Array) {
      await new Promise<void>((resolve, reject) =>
        tar.entry({ ...common, name, mode, size: content.length }, Buffer.from(content), (error) => (error ? reject(error) : resolve())),
      );
    } else {
      const { path, size, start = 0 } = content;
      // More than its size would break the archive, if the file grows meanwhile.
      const stream = createReadStream(path, { highWaterMark: 1 << 20, start, ...(size === 0 ? {} : { end: start + size - 1 }) });
      await pipeline(stream, tar.entry({ ...common, name, mode, size }));
    }
  }
  tar.finalize();
}

/** A tar stream of files; a file that cannot be read makes the stream fail, never the process. */
export function tarOf(files: readonly PutFile[], owner = BUILD_UID): Pack {
  const tar = pack();
  fill(tar, files, owner).catch((error: Error) => tar.destroy(error));
  return tar;
}

/**
 * Put files into a container that exists; it need not run. The folder must be there.
 * @param owner user and group id that the files get
 */
export async function putFiles(container: Container, folder: string, files: readonly PutFile[], owner?: number): Promise<void> {
  const tar = tarOf(files, owner);
  let broken: Error | undefined;
  tar.on('error', (error) => {
    broken = error;
  });
  try {
    // The answer is read to its end in there, and may be anything.
    await container.putArchive(tar as unknown as NodeJS.ReadableStream, { path: folder });
    if (broken) throw broken;
  } catch (error) {
    // A file of ours that cannot be read is not the engine's fault.
    throw broken ?? engineError(error, 'taking in files');
  } finally {
    // After an early refusal nobody reads the pack any more.
    tar.destroy();
  }
}

/** A file taken out of a container. */
export interface GotFile {
  name: string;
  type: string;
  mode: number;
  size: number;
}

/**
 * Take a file or folder out of a container, entry by entry. Each content must be read or resumed by `each`.
 * @returns false where the path does not exist
 */
export async function getFiles(
  container: Container,
  path: string,
  each: (file: GotFile, content: Readable) => Promise<void>,
): Promise<boolean> {
  let stream: Readable;
  try {
    stream = (await container.getArchive({ path })) as unknown as Readable;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw engineError(error, 'giving out files');
  }
  const parser = extract();
  const done = pipeline(stream, parser);
  done.catch(() => {});
  try {
    for await (const entry of parser) {
      const { name, type, mode = 0, size = 0 } = entry.header;
      await each({ name, type: type ?? 'file', mode, size }, entry as unknown as Readable);
      entry.resume();
    }
    await done;
  } catch (error) {
    // A file of ours that cannot be written is not the engine's fault.
    if (isDiskFull(error) || (error as NodeJS.ErrnoException).path !== undefined) throw error;
    const known = engineError(error, 'giving out files');
    if (known instanceof ForgeError) throw known;
    throw new EngineError('ENGINE_LOST', `the engine's answer was cut while giving out files: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return true;
}

/** One plain file of a container in memory; undefined where there is none. */
export async function readFileFrom(
  container: Container,
  path: string,
): Promise<{ content: Buffer; mode: number; type: string } | undefined> {
  let result: { content: Buffer; mode: number; type: string } | undefined;
  await getFiles(container, path, async (file, content) => {
    const chunks: Buffer[] = [];
    for await (const chunk of content) chunks.push(chunk as Buffer);
    result ??= { content: Buffer.concat(chunks), mode: file.mode & 0o777, type: file.type };
  });
  return result;
}
