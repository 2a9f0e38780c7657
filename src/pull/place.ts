import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SourceError, UsageError } from '../errors.ts';
import { download, HttpStatus, publicUrl } from '../sources/origins/download.ts';
import { statOf } from '../util/files.ts';

/** What an index tells of a file that is wanted. */
export interface Wanted {
  /** Relative to the top of the publication. */
  path: string;
  size: number;
  sha256: string;
}

/** How a transfer is told of, and stopped. */
export interface Transfer {
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number) => void) | undefined;
}

/** A place that has a publication. Nothing that comes from there is believed by itself. */
export interface Place {
  /** What to call it, without user name, password and query; the same place has the same name. */
  readonly name: string;
  /** Whether it is reached over a network. */
  readonly remote: boolean;
  /**
   * A small file whole; undefined where there is none.
   * @param limit bytes after which it is given up
   * @param more.sha256 what it is known to be, for places that keep files by that; it is not checked here
   * @throws SourceError DOWNLOAD_FAILED, SOURCE_TOO_LARGE
   */
  read(path: string, limit: number, more?: { sha256?: string; signal?: AbortSignal | undefined }): Promise<Buffer | undefined>;
  /**
   * A file into `to`; what is there already is taken as its beginning. Never more than its size.
   * @throws SourceError DOWNLOAD_FAILED, SOURCE_TOO_LARGE, STORE_DISK_FULL
   */
  fetch(file: Wanted, to: string, transfer: Transfer): Promise<void>;
  /** Paths of all files there; undefined for places that do not tell. */
  list(): Promise<string[] | undefined>;
}

const HINTS = {
  large: 'the server does not give out what the index names: try another mirror, or tell the publisher',
  full: 'make room, or give another folder with --out',
};

/** A server that gives out the files of a folder. */
class WebPlace implements Place {
  readonly name: string;
  readonly remote = true;
  private readonly base: string;

  constructor(url: string) {
    this.base = url.endsWith('/') ? url : `${url}/`;
    this.name = publicUrl(this.base);
  }

  async read(path: string, limit: number, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Buffer | undefined> {
    const folder = await mkdtemp(join(tmpdir(), 'pvgrub-'));
    const file = join(folder, 'file');
    try {
      await download(this.base + path, file, { limit, hints: HINTS, retries: 2, signal });
      return await readFile(file);
    } catch (error) {
      const { cause } = error as { cause?: unknown };
      if (cause instanceof HttpStatus && (cause.status === 404 || cause.status === 410)) return undefined;
      throw error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async fetch({ path, size }: Wanted, to: string, { signal, onProgress }: Transfer): Promise<void> {
    await download(this.base + path, to, { limit: size, hints: HINTS, signal, ...(onProgress ? { onProgress } : {}) });
  }

  async list(): Promise<undefined> {
    return undefined;
  }
}

/** A folder on this machine. */
class FolderPlace implements Place {
  readonly name: string;
  readonly remote = false;
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    this.name = pathToFileURL(folder).href;
  }

  async read(path: string, limit: number): Promise<Buffer | undefined> {
    const file = join(this.folder, path);
    const found = await statOf(file);
    if (!found?.isFile()) return undefined;
    const { size } = found;
    if (size > limit)
      throw new SourceError('SOURCE_TOO_LARGE', `${file} is larger than allowed`, {
        expected: `at most ${limit} bytes`,
        got: `${size} bytes`,
      });
    return readFile(file);
  }

  async fetch({ path, size }: Wanted, to: string, { signal }: Transfer): Promise<void> {
    const file = join(this.folder, path);
    const is = (await statOf(file))?.size;
    if (is !== size)
      throw new SourceError('DOWNLOAD_FAILED', `${file} is not the file that the index names`, {
        expected: `${size} bytes`,
        got: is === undefined ? 'no such file' : `${is} bytes`,
      });
    // Not a copy: it would have the mode of the publisher's file, which may not be written to.
    await writeFile(to, await readFile(file), signal ? { signal } : {});
  }

  async list(): Promise<string[]> {
    const entries = await readdir(this.folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(this.folder.length + 1))
      .sort();
  }
}

/**
 * The place that an address means: an http(s) URL, oci://registry/repository, or a folder.
 * @param mayBeNew a folder that is not there yet is one without a publication
 * @throws UsageError FILE_UNREADABLE where it is none of them
 */
export async function placeAt(address: string, mayBeNew = false): Promise<Place> {
  if (/^https?:\/\//.test(address)) {
    if (!URL.canParse(address)) throw new UsageError('OPTION_INVALID', `${address} is no URL`);
    return new WebPlace(address);
  }
  if (address.startsWith('oci://')) return (await import('./oci-place.ts')).ociPlace(address);
  const folder = resolve(address);
  if (mayBeNew || ((await statOf(folder))?.isDirectory() ?? false)) return new FolderPlace(folder);
  throw new UsageError('FILE_UNREADABLE', `there is no publication at ${address}`, {
    expected: 'an http(s) URL, oci://registry/repository, or a folder',
  });
}
