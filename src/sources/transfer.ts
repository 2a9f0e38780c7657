import { createReadStream, createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { extract, pack } from 'tar-stream';
import type { SourceRef } from '../catalog/types.ts';
import { isDiskFull, SourceError, UsageError } from '../errors.ts';
import { besides } from '../util/files.ts';
import { isTrusted, provedBy } from './pins.ts';
import { identityOf, parseRecord, type SourceRecord, type Store, type StoredSource } from './store.ts';

/**
 * The archive that carries sources to another machine: a plain tar with, for each source, its record as
 * `records/<name>@<version>.<sha256>.json` followed by its bytes as `sha256/<hex>`; before them, where it is for images,
 * what each is made of as `images/<cell>.json`.
 */

/** Images in one archive. The catalog has some hundreds. */
const MOST_IMAGES = 2000;
/** Bytes of one record, of what is said of one image, and of all that is said of images. */
const LARGEST_RECORD = 2 ** 20;
const LARGEST_IMAGE = 2 ** 20;
const ALL_IMAGES = 64 * 2 ** 20;
/** Bytes of one source. */
const LARGEST_SOURCE = 2 ** 30;

/** What an image of an archive is made of: an in-toto Statement (publish/provenance.ts), as JSON. */
export interface ImageEntry {
  /** The cell's id. */
  id: string;
  text: string;
}

/**
 * Write sources into an archive; the same sources give the same bytes.
 * @throws SourceError STORE_DISK_FULL; the file is then not there
 */
export async function exportSources(
  records: readonly SourceRecord[],
  store: Store,
  file: string,
  { images = [], signal }: { images?: readonly ImageEntry[]; signal?: AbortSignal } = {},
): Promise<void> {
  const aside = besides(file);
  const tar = pack();
  const common = { mode: 0o644, mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '' };
  const put = (name: string, text: Buffer) =>
    new Promise<void>((resolve, reject) => {
      signal?.throwIfAborted();
      // It has an error of its own where the tar is given up meanwhile.
      tar.entry({ ...common, name, size: text.length }, text, (error) => (error ? reject(error) : resolve())).on('error', reject);
    });
  const fill = async () => {
    for (const { id, text } of images) await put(`images/${id}.json`, Buffer.from(text));
    for (const record of records) {
      await put(`records/${record.name}@${record.version}.${record.sha256}.json`, Buffer.from(`${JSON.stringify(record, null, 2)}\n`));
      await pipeline(
        createReadStream(store.path(record.sha256), { highWaterMark: 1 << 18 }),
        tar.entry({ ...common, name: `sha256/${record.sha256}`, size: record.size }),
      );
    }
    tar.finalize();
  };
  try {
    // There before anything can fail: a stream that is given up while it opens its file would make it afterwards.
    const out = await open(aside, 'wx');
    await Promise.all([
      pipeline(tar, out.createWriteStream(), { ...(signal ? { signal } : {}) }),
      fill().catch((error: Error) => {
        tar.destroy(error);
        throw error;
      }),
    ]);
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    signal?.throwIfAborted();
    if (isDiskFull(error)) throw new SourceError('STORE_DISK_FULL', `no room left to write ${file}`, { cause: error });
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== undefined && path === aside)
      throw new UsageError('FILE_UNREADABLE', `${file} cannot be written: ${code}`, {
        hint: 'name a file in a folder that is there',
        cause: error,
      });
    throw error;
  }
}

/** What became of the sources of an archive. */
export interface Imported {
  added: StoredSource[];
  /** Sources that nothing proves and nobody trusts, or that the catalog does not know. */
  refused: { name: string; version: string; reason: SourceError }[];
  /** What it says of images; not checked. */
  images: ImageEntry[];
}

/**
 * Take in an archive. Records are not believed: every tarball goes through the same checks as a fetched one, against
 * the pins that the catalog has here.
 *
 * @param known the source of the catalog with this name and version, if there is one
 * @throws SourceError SOURCE_ARCHIVE_BROKEN for what is not such an archive, or a cut one
 */
export async function importSources(
  file: string,
  store: Store,
  known: (name: string, version: string) => SourceRef | undefined,
  trust: readonly string[],
): Promise<Imported> {
  const result: Imported = { added: [], refused: [], images: [] };
  const incoming = await store.incoming();
  const broken = (why: string, cause?: unknown) =>
    new SourceError('SOURCE_ARCHIVE_BROKEN', `${file} cannot be imported: ${why}`, {
      hint: 'write it anew with `pvgrub sources export`',
      cause,
    });
  let record: SourceRecord | undefined;
  const seen = new Set<string>();
  let imageBytes = 0;
  let end = 0;
  const parser = extract();
  const source = createReadStream(file, { highWaterMark: 1 << 18 });
  const reading = pipeline(source, parser);
  reading.catch(() => {});
  try {
    for await (const entry of parser) {
      const { name, type } = entry.header;
      end = entry.offset + 512 + Math.ceil((entry.header.size ?? 0) / 512) * 512;
      // Only a file's content is sure to come: that of a folder with a size never ends.
      if (type !== 'file') throw broken(`its entry ${shown(name)} is not a file`);
      const size = entry.header.size ?? 0;
      const image = /^images\/([\w.-]+)\.json$/.exec(name)?.[1];
      if (!record && /^records\/[\w@.+-]+\.json$/.test(name)) {
        demandSmall(name, size, LARGEST_RECORD);
        record = parseRecord(await textOf(entry), name);
        if (seen.has(name)) throw broken(`it has ${name} twice`);
        seen.add(name);
      } else if (!record && image) {
        imageBytes += size;
        demandSmall(name, size, LARGEST_IMAGE);
        if (result.images.length >= MOST_IMAGES || imageBytes > ALL_IMAGES) throw broken('it has too many images');
        result.images.push({ id: image, text: await textOf(entry) });
      } else if (record && name === `sha256/${record.sha256}`) {
        demandSmall(name, size, LARGEST_SOURCE);
        const aside = besides(join(incoming, record.sha256));
        try {
          await pipeline(entry as unknown as NodeJS.ReadableStream, createWriteStream(aside));
        } catch (error) {
          await rm(aside, { force: true });
          throw error;
        }
        await takeIn(record, aside);
        record = undefined;
      } else {
        throw broken(`it has an entry ${shown(name)} that does not belong there`);
      }
    }
    await reading;
  } catch (error) {
    if (error instanceof SourceError) throw error;
    if (isDiskFull(error))
      throw new SourceError('STORE_DISK_FULL', 'no room left in the store', {
        hint: 'make room there, or give another folder with --store',
        cause: error,
      });
    throw broken((error as Error).message, error);
  }
  // A tar ends with two empty blocks; one that was cut just between two sources does not.
  if (record || (end > 0 && (await stat(file)).size < end + 1024)) throw broken('it ends too early');
  if (result.added.length + result.refused.length === 0) throw broken('it has no sources');
  return result;

  async function takeIn(entry: SourceRecord, aside: string): Promise<void> {
    const ref = known(entry.name, entry.version) ?? { name: entry.name, version: entry.version, file: entry.file, pins: {} };
    const commitObject = entry.commitObject === undefined ? undefined : Buffer.from(entry.commitObject, 'base64');
    try {
      result.added.push(
        await store.add(aside, { ref: { ...ref, file: entry.file }, origin: entry.origin, commitObject, trusted: isTrusted(ref, trust) }),
      );
    } catch (error) {
      if (!(error instanceof SourceError) || error.code === 'STORE_DISK_FULL') throw error;
      result.refused.push({ name: entry.name, version: entry.version, reason: error });
    }
  }
}

/** A name of an entry, short enough for an error. */
const shown = (name: string) => (name.length > 200 ? `${name.slice(0, 200)}…` : name);

/** @throws SourceError SOURCE_TOO_LARGE */
function demandSmall(name: string, size: number, most: number): void {
  if (size <= most) return;
  throw new SourceError('SOURCE_TOO_LARGE', `the archive's entry ${name} is too large`, {
    expected: `at most ${most} bytes`,
    got: `${size} bytes`,
    hint: 'write the archive again with `pvgrub sources export`',
  });
}

async function textOf(chunks: AsyncIterable<unknown>): Promise<string> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk as Buffer);
  return Buffer.concat(all).toString('utf8');
}

/** The records that these sources have in the store; throws for one that is missing. */
export async function recordsFor(refs: readonly SourceRef[], store: Store, trust: readonly string[]): Promise<SourceRecord[]> {
  const records = new Map<string, SourceRecord>();
  for (const ref of refs) {
    const stored = await store.find(ref, isTrusted(ref, trust));
    if (!stored)
      throw new SourceError('SOURCE_UNAVAILABLE', `${ref.name} ${ref.version} is not in the store`, {
        hint: 'pvgrub sources fetch with the same selectors first',
      });
    records.set(`${ref.name}@${ref.version}`, stored.record);
  }
  return [...records].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record);
}

/** How a record is proved by the catalog's pins, as a word for people. */
export function proofOf(record: SourceRecord, ref: SourceRef | undefined): string {
  return (ref && provedBy(ref.pins, identityOf(record))) ?? 'nothing (unpinned)';
}
