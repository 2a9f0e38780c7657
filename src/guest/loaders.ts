import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Metadata } from '../build/metadata.ts';
import { OutputError, refusalOf } from '../errors.ts';
import { inspectImage } from '../inspect/inspect.ts';
import { type Cell, type PlanData, planMatrix } from '../plan/plan.ts';
import { select } from '../plan/selector.ts';
import type { PublishedImage } from '../publish/index-file.ts';
import { ifThere, statOf } from '../util/files.ts';
import type { LoaderKind } from './loader.ts';

/** Which loaders a guest is checked for: an image file, cells, a publication's images. */

const MAX_IMAGE = 64 * 2 ** 20;

/** Every cell that the catalog has. */
export function catalogCells(data: PlanData): Cell[] {
  return planMatrix({ loaders: { 'pv-grub': { versions: ['*'] }, pvgrub2: { versions: ['*'] } }, include: [], exclude: [] }, data);
}

/** A cell as a loader. */
export function cellLoader({ id, loader, version, arch, recipe }: Cell): LoaderKind {
  const file = recipe.outputs.find(({ role }) => role === 'image')?.file ?? id;
  return { name: id, file, loader, version, arch, ours: true, reads: recipe.reads };
}

/** A published image as a loader. */
export function publishedLoader({ id, image, loader, version, arch, reads }: PublishedImage): LoaderKind {
  return { name: id, file: image.name, loader, version, arch, ours: true, reads };
}

/** The metadata beside an image, where it is of that image. */
async function metadataOf(file: string, sha256: string): Promise<Metadata | undefined> {
  const text = await ifThere(readFile(join(dirname(file), 'metadata.json'), 'utf8'));
  if (text === undefined) return undefined;
  try {
    const metadata = JSON.parse(text) as Metadata;
    return metadata.image?.sha256 === sha256 ? metadata : undefined;
  } catch {
    return undefined;
  }
}

/**
 * An image file as a loader: what it is, its bytes tell; its release and what it reads stand in the metadata beside it,
 * where it was built here.
 * @throws UsageError FILE_UNREADABLE; OutputError INSPECT_FAILED where it is no loader
 */
export async function fileLoader(file: string): Promise<LoaderKind> {
  const size = (await statOf(file))?.size ?? 0;
  if (size > MAX_IMAGE)
    throw new OutputError('INSPECT_FAILED', `${file} is no PV boot loader`, {
      expected: 'an image of some hundred kilobytes',
      got: `${size} bytes`,
    });
  const bytes = await readFile(file).catch((error: Error) => {
    throw refusalOf(error, file, ['ENOENT']) ?? error;
  });
  const { kind, arch, summary, sha256 } = inspectImage(bytes);
  if ((kind !== 'pv-grub' && kind !== 'pvgrub2') || arch === undefined)
    throw new OutputError('INSPECT_FAILED', `${file} is no PV boot loader`, { expected: 'pv-grub or pvgrub2', got: summary });
  const metadata = await metadataOf(file, sha256);
  const known = metadata && { version: metadata.version, reads: metadata.reads };
  return { name: metadata?.id ?? basename(file), file: resolve(file), loader: kind, arch, ours: metadata !== undefined, ...known };
}

/** Loaders that selectors choose of a list, by their names; all without a selector. @throws UsageError SELECTOR_NO_MATCH */
export function chosenLoaders(loaders: readonly LoaderKind[], selectors: readonly string[]): LoaderKind[] {
  const chosen = new Set(
    select(
      loaders.map(({ name }) => name),
      selectors,
    ),
  );
  return loaders.filter(({ name }) => chosen.has(name));
}
