import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { BuildError, isDiskFull, OutputError, refusalOf } from '../errors.ts';
import { ifThere, writeFileAtomic } from '../util/files.ts';
import { sha256File } from '../util/hash.ts';
import { processStart } from '../util/process-start.ts';
import type { Metadata } from './metadata.ts';

/** The output folder: `<loader>/<version>/<arch>/`, SHA256SUMS over all images, and work aside in `.work-*`. */

const WORK = '.work-';

type Place = Pick<Metadata, 'loader' | 'version' | 'arch'>;

/** Where a cell's results are. */
export function cellFolder(output: string, { loader, version, arch }: Place): string {
  return join(output, loader, version, arch);
}

/** A new folder for one cell's work, in the output folder so that results are moved, not copied. Its name says whose it is. */
export async function stagingFolder(output: string, id: string): Promise<string> {
  try {
    await mkdir(output, { recursive: true });
    const folder = await mkdtemp(join(output, `${WORK}${process.pid}.${processStart(process.pid) ?? 0}.${id}-`));
    // mkdtemp makes it for us alone; results are for everybody.
    await chmod(folder, 0o755);
    return folder;
  } catch (error) {
    throw outputError(error, output);
  }
}

/** Full disks, and what the file system refuses, get a clear error; others pass. */
export function outputError(error: unknown, output: string): unknown {
  if (!isDiskFull(error)) return refusalOf(error, output) ?? error;
  return new BuildError('OUTPUT_DISK_FULL', `no room left in ${output}`, {
    hint: 'make room there, or give another folder with --out',
    cause: error,
  });
}

/** Move a finished cell into place. Where an older result is, it is set aside first and comes back if the move fails. */
export async function place(staging: string, output: string, cell: Place): Promise<string> {
  const folder = cellFolder(output, cell);
  const old = `${staging}.old`;
  await mkdir(join(folder, '..'), { recursive: true });
  const hadOld = (await ifThere(rename(folder, old).then(() => true))) ?? false;
  try {
    await rename(staging, folder);
  } catch (error) {
    if (hadOld) await rename(old, folder);
    throw outputError(error, output);
  }
  if (hadOld) await rm(old, { recursive: true, force: true });
  return folder;
}

/** The metadata of a cell's result; undefined where there is none, or it is not readable as such. */
export async function readMetadata(folder: string): Promise<Metadata | undefined> {
  const text = await ifThere(readFile(join(folder, 'metadata.json'), 'utf8'));
  if (text === undefined) return undefined;
  try {
    const metadata = JSON.parse(text) as Metadata;
    const { schema, loader, version, arch, image } = metadata;
    const plain = [loader, version, arch, image.file].every((text: unknown) => typeof text === 'string' && /^\w[\w.-]*$/.test(text));
    return schema === 1 && plain && typeof image.sha256 === 'string' ? metadata : undefined;
  } catch {
    return undefined;
  }
}

/** Every cell folder below an output folder, with its metadata. */
export async function placedCells(folder: string): Promise<{ folder: string; metadata: Metadata }[]> {
  // However it is written: with a slash at its end, with dots.
  const output = resolve(folder);
  const found = (await ifThere(readdir(output, { recursive: true, withFileTypes: true }))) ?? [];
  const folders = found.filter((entry) => entry.isFile() && entry.name === 'metadata.json').map((entry) => entry.parentPath);
  const cells = await Promise.all(folders.sort().map(async (folder) => ({ folder, metadata: await readMetadata(folder) })));
  // Work folders and whatever else lies there are no results.
  return cells.flatMap(({ folder, metadata }) => (metadata && cellFolder(output, metadata) === folder ? [{ folder, metadata }] : []));
}

/** @throws OutputError OUTPUT_DAMAGED where an image is not the one of its metadata; what is not there is not, either */
export async function demandWhole(folder: string, { image }: Pick<Metadata, 'image'>): Promise<void> {
  const digest = await ifThere(sha256File(join(folder, image.file)));
  if (digest === image.sha256) return;
  throw new OutputError('OUTPUT_DAMAGED', `${join(folder, image.file)} is not the image that its metadata names`, {
    expected: image.sha256,
    got: digest ?? 'no such file',
    hint: 'copy it again from where it was built, or build it again',
  });
}

/** Whether a folder has an image with its checksum. */
export async function isWhole(folder: string, { file, sha256 }: Pick<Metadata['image'], 'file' | 'sha256'>): Promise<boolean> {
  return (await ifThere(sha256File(join(folder, file)))) === sha256;
}

/** The result of a cell, if it was made from just these inputs and its image is whole. */
export async function finished(output: string, cell: Place, inputHash: string): Promise<Metadata | undefined> {
  const folder = cellFolder(output, cell);
  const metadata = await readMetadata(folder);
  if (metadata?.inputHash !== inputHash) return undefined;
  return (await isWhole(folder, metadata.image)) ? metadata : undefined;
}

/** One line of SHA256SUMS as coreutils writes and reads it: names with a backslash or line end are escaped. */
export function sumLine(sha256: string, name: string): string {
  if (!/[\\\n\r]/.test(name)) return `${sha256}  ${name}\n`;
  return `\\${sha256}  ${name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r')}\n`;
}

/**
 * Write SHA256SUMS over every image that is there, each read anew but those that this run has just read; sorted by name.
 * An image that is not what its metadata says is left out and named.
 *
 * @param read SHA-256 by cell folder, of images read in this run
 */
export async function writeSums(
  output: string,
  read: ReadonlyMap<string, string> = new Map(),
): Promise<{ images: number; damaged: string[] }> {
  const damaged: string[] = [];
  const lines: [string, string][] = [];
  const folders = async (path: string) =>
    ((await ifThere(readdir(path, { withFileTypes: true }))) ?? [])
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map((entry) => entry.name);
  for (const loader of await folders(output)) {
    for (const version of await folders(join(output, loader))) {
      for (const arch of await folders(join(output, loader, version))) {
        const folder = join(output, loader, version, arch);
        const metadata = await readMetadata(folder);
        const digest = metadata && (read.get(folder) ?? (await ifThere(sha256File(join(folder, metadata.image.file)))));
        if (!metadata || !digest) continue;
        const name = `${loader}/${version}/${arch}/${metadata.image.file}`;
        if (digest === metadata.image.sha256) lines.push([name, digest]);
        else damaged.push(name);
      }
    }
  }
  lines.sort(([a], [b]) => (a < b ? -1 : 1));
  try {
    await writeFileAtomic(join(output, 'SHA256SUMS'), lines.map(([name, digest]) => sumLine(digest, name)).join(''));
  } catch (error) {
    throw outputError(error, output);
  }
  return { images: lines.length, damaged };
}

/** Remove work folders of runs that were killed; a result that such a run had set aside comes back. */
export async function sweepWork(output: string): Promise<number> {
  let swept = 0;
  for (const name of (await ifThere(readdir(output))) ?? []) {
    const owner = /^\.work-(\d+)\.(\d+)\.(.+)-[A-Za-z0-9]{6}(\.old)?$/.exec(name);
    if (!owner || processStart(Number(owner[1])) === owner[2]) continue;
    const path = join(output, name);
    const metadata = owner[4] ? await readMetadata(path) : undefined;
    const home = metadata && cellFolder(output, metadata);
    if (home && !(await ifThere(stat(home)))) await rename(path, home);
    else await rm(path, { recursive: true, force: true });
    swept++;
  }
  return swept;
}
