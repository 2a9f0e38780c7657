import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { cellFolder, demandWhole, placedCells } from '../build/artifacts.ts';
import type { Metadata } from '../build/metadata.ts';
import { OutputError, UsageError } from '../errors.ts';
import { ifThere } from '../util/files.ts';
import { hashFile, sha256 } from '../util/hash.ts';
import { ATTESTATIONS, demandAttested, isSummary, saidOf, summaryIsOf } from './attested.ts';
import { allFiles, imageComment, type PublishedFile, type PublishedImage } from './index-file.ts';
import type { SigningKey } from './key.ts';
import { minisignSignature } from './minisign.ts';

/** Where a file's bytes are: a file, or the bytes themselves. */
export type Content = string | Uint8Array;

/** An image that is ready to be published, with the bytes of every file of its folder. */
export interface Prepared {
  image: PublishedImage;
  contents: ReadonlyMap<string, Content>;
}

/** The bytes of a file that is to be published. */
export async function bytesOf({ image, contents }: Prepared, name: string): Promise<Buffer> {
  const content = contents.get(name);
  if (content === undefined) throw new Error(`no content for ${name} of ${image.id}`);
  return typeof content === 'string' ? readFile(content) : Buffer.from(content);
}

/** What nobody has shown of an image, as words for its users; empty for one that is pinned, booted and reproduced. */
export function unprovenOf({ unpinned, boot, reproduced }: Pick<Metadata, 'unpinned' | 'boot' | 'reproduced'>): string[] {
  return [
    ...(unpinned.length > 0 ? [`built with sources that nothing proves: ${unpinned.join(', ')}`] : []),
    ...(boot ? (boot.ok ? [] : ['did not boot in a real Xen as it should']) : ['never booted']),
    ...(reproduced ? (reproduced.ok ? [] : ['another image when built again']) : ['never built again']),
  ];
}

/**
 * Every image of an output folder that some selector wants, signed, with its attestations and logs.
 * @param chosen which ids
 * @throws UsageError FILE_UNREADABLE; OutputError OUTPUT_DAMAGED, NOT_ATTESTED; VerifyError as demandAttested
 */
export async function preparedImages(from: string, chosen: (ids: string[]) => string[], key: SigningKey): Promise<Prepared[]> {
  const cells = await placedCells(from);
  if (cells.length === 0)
    throw new UsageError('FILE_UNREADABLE', `${from} has no results`, { hint: 'name a folder that pvgrub build --out wrote' });
  const ids = new Set(chosen(cells.map(({ metadata }) => metadata.id)));
  const prepared: Prepared[] = [];
  for (const { metadata } of cells) if (ids.has(metadata.id)) prepared.push(await preparedImage(from, metadata, key));
  return prepared;
}

async function preparedImage(from: string, metadata: Metadata, key: SigningKey): Promise<Prepared> {
  const { boot, reproduced, unpinned, warnings, reads, image: made } = metadata;
  const folder = cellFolder(from, metadata);
  await demandWhole(folder, metadata);
  const paths = await filesOf(from, metadata);
  const listed = async ([name, path]: [string, string]): Promise<PublishedFile> => {
    const { size, sha256 } = await hashFile(path);
    return { name, size, sha256 };
  };
  const known: Omit<PublishedImage, 'path'> = {
    id: metadata.id,
    loader: metadata.loader as PublishedImage['loader'],
    version: metadata.version,
    arch: metadata.arch as PublishedImage['arch'],
    inputHash: metadata.inputHash,
    image: { name: made.file, size: made.size, sha256: made.sha256 },
    files: await Promise.all([...paths].map(listed)),
    reads,
    boot: boot ? { ok: boot.ok, hypervisor: boot.hypervisor, cases: boot.cases.length } : null,
    reproduced: reproduced ? { ok: reproduced.ok, variations: reproduced.variations } : null,
    unpinned,
    unproven: unprovenOf(metadata),
    warnings,
  };
  await demandPresentAttestations(known, paths, metadata, key);
  const image = join(folder, made.file);
  const signature = Buffer.from(minisignSignature(await readFile(image), key, imageComment(known)));
  const signed = { name: `${made.file}.minisig`, size: signature.length, sha256: sha256(signature) };
  const files = [...known.files, signed].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    image: { ...known, files, path: folderOf({ ...known, files }) },
    contents: new Map<string, Content>([...paths, [made.file, image], [signed.name, signature]]),
  };
}

/** Attestations must be there, by this key, and say what is known now of booting and building again. */
async function demandPresentAttestations(
  known: Omit<PublishedImage, 'path'>,
  paths: ReadonlyMap<string, string>,
  metadata: Metadata,
  key: SigningKey,
): Promise<void> {
  const { id } = known;
  const again = (why: string) =>
    new OutputError('NOT_ATTESTED', `${id} ${why}`, { hint: `pvgrub attest ${id} --out … --key … first, with the key that publishes` });
  const texts = new Map<string, string>();
  for (const end of Object.values(ATTESTATIONS)) {
    const path = paths.get(`${known.image.name}${end}`);
    if (path === undefined) throw again(`is not attested: it has no ${known.image.name}${end}`);
    texts.set(`${known.image.name}${end}`, await readFile(path, 'utf8'));
  }
  const statement = demandAttested(known, texts, key.public);
  for (const name of ['boot', 'reproduced'] as const)
    if (!isDeepStrictEqual(saidOf(statement, name), metadata[name]))
      throw again(`was attested before it was ${name === 'boot' ? 'booted' : 'built again'}`);
}

/** Files that are published beside an image, by name: attestations, summaries of those who built it again, metadata, logs. */
async function filesOf(from: string, metadata: Metadata): Promise<Map<string, string>> {
  const { file } = metadata.image;
  const paths = new Map<string, string>();
  const [own, rebuilt] = [cellFolder(from, metadata), cellFolder(join(from, 'rebuilt'), metadata)];
  for (const name of (await ifThere(readdir(own))) ?? [])
    if (Object.values(ATTESTATIONS).some((end) => name === `${file}${end}`) || name === 'metadata.json' || /^\w+\.log$/.test(name))
      paths.set(name, join(own, name));
  // One of an image before this one says nothing of it.
  for (const folder of [own, rebuilt])
    for (const name of (await ifThere(readdir(folder))) ?? [])
      if (isSummary(name, file) && summaryIsOf(await readFile(join(folder, name), 'utf8'), metadata.image.sha256))
        paths.set(name, join(folder, name));
  return paths;
}

/** The folder of an image: another one as soon as any file in it is another, so that no file is ever replaced. */
function folderOf(of: Pick<PublishedImage, 'loader' | 'version' | 'arch' | 'image' | 'files'>): string {
  const all = allFiles(of).map(({ name, sha256 }) => `${sha256}  ${name}\n`);
  return `${of.loader}/${of.version}/${of.arch}/${sha256(all.sort().join('')).slice(0, 16)}`;
}
