import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cellFolder, demandWhole, readMetadata } from '../build/artifacts.ts';
import { type Metadata, unprovedOf } from '../build/metadata.ts';
import type { Catalog } from '../catalog/types.ts';
import { OutputError } from '../errors.ts';
import { inputHash } from '../plan/input-hash.ts';
import type { Cell } from '../plan/plan.ts';
import { writeFileAtomic } from '../util/files.ts';
import { sha256File } from '../util/hash.ts';
import { ATTESTATIONS } from './attested.ts';
import { buildinfo, type ListedFile } from './buildinfo.ts';
import { signStatement } from './dsse.ts';
import type { SigningKey } from './key.ts';
import { type ImageArchive, provenance } from './provenance.ts';
import { sbom } from './sbom.ts';

/** What attesting needs of its surroundings. */
export interface AttestContext {
  output: string;
  catalog: Catalog;
  key: SigningKey;
  /** The archive of the build image with a digest; undefined where it cannot be had. */
  archiveOf: (digest: string) => Promise<ImageArchive | undefined>;
}

/**
 * The metadata of a cell's image, if it was built from just this recipe.
 * @throws OutputError OUTPUT_MISSING, OUTPUT_DAMAGED
 */
export async function builtCell(cell: Cell, output: string): Promise<Metadata> {
  const folder = cellFolder(output, cell);
  const metadata = await readMetadata(folder);
  const missing = (why: string) =>
    new OutputError('OUTPUT_MISSING', `${cell.id} is not built ${why}in ${output}`, {
      hint: `pvgrub build ${cell.id} first, with the same --out; pvgrub matrix --why tells what has changed`,
    });
  if (!metadata) throw missing('');
  if (inputHash(cell.recipe, metadata.buildImage.digest, unprovedOf(metadata.sources)) !== metadata.inputHash)
    throw missing('from the present inputs ');
  await demandWhole(folder, metadata);
  return metadata;
}

/** @throws OutputError OUTPUT_DAMAGED where a file is not the one that the metadata names */
async function listedFile(folder: string, file: string, sha256: string): Promise<ListedFile> {
  const bytes = await readFile(join(folder, file)).catch(() => Buffer.alloc(0));
  const digest = (name: string) => createHash(name).update(bytes).digest('hex');
  const is = digest('sha256');
  if (is !== sha256)
    throw new OutputError('OUTPUT_DAMAGED', `${join(folder, file)} is not the file that its metadata names`, {
      expected: sha256,
      got: is,
      hint: 'copy it again from where it was built, or build it again',
    });
  return { file, size: bytes.length, md5: digest('md5'), sha1: digest('sha1'), sha256 };
}

/**
 * Write a cell's buildinfo, SBOM and signed provenance beside its image.
 * @returns the image's file name, and whether its build image is named by an archive
 * @throws as builtCell
 */
export async function attestCell(cell: Cell, context: AttestContext): Promise<{ image: string; archived: boolean }> {
  const metadata = await builtCell(cell, context.output);
  const folder = cellFolder(context.output, cell);
  const file = metadata.image.file;
  const archive = await context.archiveOf(metadata.buildImage.digest);
  const logs = (await readdir(folder)).filter((name) => name.endsWith('.log')).sort();
  const listed = await Promise.all(
    [metadata.image, ...(metadata.debug ? [metadata.debug] : [])].map(async ({ file, sha256 }) => listedFile(folder, file, sha256)),
  );
  const files = await Promise.all(logs.map(async (name) => [name, await sha256File(join(folder, name))] as const));
  const statement = provenance({ metadata, recipe: cell.recipe, archive, files: Object.fromEntries(files) });
  await writeFileAtomic(join(folder, `${file}${ATTESTATIONS.buildinfo}`), buildinfo(metadata, listed));
  await writeFileAtomic(join(folder, `${file}${ATTESTATIONS.sbom}`), sbom(metadata, cell.recipe, context.catalog));
  await writeFileAtomic(join(folder, `${file}${ATTESTATIONS.provenance}`), signStatement(statement, context.key));
  return { image: file, archived: archive !== undefined };
}
