import PQueue from 'p-queue';
import { errorData, VerifyError } from '../errors.ts';
import { ATTESTATIONS, demandAttested, isSummary, summaryIsOf } from '../publish/attested.ts';
import {
  allFiles,
  INDEX,
  INDEX_SIGNATURE,
  imageComment,
  lastingSignature,
  type PublicationIndex,
  type PublishedFile,
  type PublishedImage,
} from '../publish/index-file.ts';
import type { PublicKey } from '../publish/key.ts';
import { prehash, verifyMinisign } from '../publish/minisign.ts';
import { sumsText } from '../publish/publication.ts';
import { sha256 } from '../util/hash.ts';
import type { Place } from './place.ts';
import { readIndex } from './read-index.ts';
import type { Demands, Opened } from './trust.ts';

/** What verifying a publication found. */
export interface Verification {
  index: PublicationIndex;
  sha256: string;
  /** Whether it was looked for files that nothing names; false for places that do not list theirs. */
  strays: boolean;
}

/** Where it is read from, and what stops it. */
interface Reading {
  place: Place;
  signal: AbortSignal | undefined;
}

/** Files read at once. */
const AT_ONCE = 4;

/**
 * Check a whole publication: index, sums, every file, every signature and attestation, and that nothing else is there.
 * @throws VerifyError as readIndex, or PUBLICATION_BROKEN with everything that is wrong; SourceError as the place
 */
export async function verifyPublication(place: Place, demands: Omit<Demands, 'where'>, signal?: AbortSignal): Promise<Verification> {
  const reading = { place, signal };
  const opened = await readIndex(place, demands, signal);
  const { index } = opened;
  const signer = opened.keys.at(-1) as PublicKey;
  const wrong: string[] = await topFaults(reading, opened, signer);
  const queue = new PQueue({ concurrency: AT_ONCE });
  await queue.addAll(
    index.images.map((image) => async () => {
      signal?.throwIfAborted();
      wrong.push(...(await imageFaults(reading, image, signer)));
    }),
  );
  for (const { path, files } of index.superseded)
    for (const file of files) {
      signal?.throwIfAborted();
      wrong.push(...(await fileFault(reading, path, file)).faults);
    }
  const there = await place.list();
  if (there) wrong.push(...strays(there, index, opened.sha256));
  if (wrong.length > 0) {
    const some = wrong.sort().slice(0, 50);
    throw new VerifyError(
      'PUBLICATION_BROKEN',
      `${place.name} is not what its index says: ${wrong.length} ${wrong.length === 1 ? 'fault' : 'faults'}`,
      {
        got: [...some, ...(wrong.length > some.length ? [`and ${wrong.length - some.length} more`] : [])].join('\n'),
        hint: 'for its publisher: publish again, which mends what a stopped run left; for its readers: use nothing of it, and tell the publisher',
      },
    );
  }
  return { index, sha256: opened.sha256, strays: there !== undefined };
}

/** What is wrong with a file; its bytes where nothing is. */
async function fileFault({ place, signal }: Reading, folder: string, file: PublishedFile): Promise<{ faults: string[]; bytes?: Buffer }> {
  const path = folder === '' ? file.name : `${folder}/${file.name}`;
  try {
    const bytes = await place.read(path, file.size, { sha256: file.sha256, signal });
    if (!bytes) return { faults: [`${path}: missing`] };
    const is = sha256(bytes);
    if (is !== file.sha256)
      return { faults: [`${path}: sha256 ${is}, ${bytes.length} bytes; the index says ${file.sha256}, ${file.size} bytes`] };
    return { faults: [], bytes };
  } catch (error) {
    const { code, message } = errorData(error);
    if (code === 'SOURCE_TOO_LARGE') return { faults: [`${path}: larger than the ${file.size} bytes of the index`] };
    if (code === 'DOWNLOAD_FAILED') return { faults: [`${path}: ${message}`] };
    throw error;
  }
}

/** What is wrong at the top: sums and page, and their signatures. */
async function topFaults(reading: Reading, { index }: Opened, signer: PublicKey): Promise<string[]> {
  const faults: string[] = [];
  const tops = new Map<string, Buffer>();
  for (const file of index.files) {
    const { faults: of, bytes } = await fileFault(reading, '', file);
    faults.push(...of);
    if (bytes) tops.set(file.name, bytes);
  }
  const sums = tops.get('SHA256SUMS');
  const signature = tops.get('SHA256SUMS.minisig');
  if (sums && sums.toString() !== sumsText(index.images)) faults.push('SHA256SUMS: not the sums of the images in the index');
  if (sums && signature) faults.push(...said(() => void verifyMinisign(prehash(sums), signature.toString(), signer, 'SHA256SUMS')));
  return faults;
}

/** What is wrong with an image and what stands beside it. */
async function imageFaults(reading: Reading, image: PublishedImage, signer: PublicKey): Promise<string[]> {
  const faults: string[] = [];
  const contents = new Map<string, Buffer>();
  for (const file of allFiles(image)) {
    const { faults: of, bytes } = await fileFault(reading, image.path, file);
    faults.push(...of);
    if (bytes) contents.set(file.name, bytes);
  }
  if (faults.length > 0) return faults;
  const text = (name: string) => contents.get(name)?.toString('utf8');
  faults.push(
    ...said(() => {
      const signature = text(`${image.image.name}.minisig`);
      if (signature === undefined) throw new VerifyError('SIGNATURE_INVALID', 'it has no signature');
      const comment = verifyMinisign(prehash(contents.get(image.image.name) as Buffer), signature, signer, image.image.name);
      if (comment !== imageComment(image)) throw new VerifyError('SIGNATURE_INVALID', `its signature is for "${comment}"`);
    }, image.path),
  );
  const texts = new Map(
    Object.values(ATTESTATIONS).flatMap((end) => {
      const name = `${image.image.name}${end}`;
      const found = text(name);
      return found === undefined ? [] : [[name, found] as const];
    }),
  );
  faults.push(...said(() => void demandAttested(image, texts, signer), image.path));
  for (const { name } of image.files)
    if (isSummary(name, image.image.name) && !summaryIsOf(text(name) ?? '', image.image.sha256))
      faults.push(`${image.path}/${name}: not about this image`);
  return faults;
}

/** What a check says where it fails. */
function said(check: () => void, where?: string): string[] {
  try {
    check();
    return [];
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    const { message, got } = errorData(error);
    return [`${where === undefined ? '' : `${where}: `}${message}${got === undefined ? '' : ` (${got})`}`];
  }
}

/** Files that nothing names. */
function strays(there: readonly string[], index: PublicationIndex, sha256: string): string[] {
  const named = new Set([
    INDEX,
    INDEX_SIGNATURE,
    lastingSignature(sha256),
    ...(index.previous ? [lastingSignature(index.previous.sha256)] : []),
    ...index.files.map(({ name }) => name),
    ...index.images.flatMap((image) => allFiles(image).map(({ name }) => `${image.path}/${name}`)),
    ...index.superseded.flatMap(({ path, files }) => files.map(({ name }) => `${path}/${name}`)),
  ]);
  return there.filter((path) => !named.has(path)).map((path) => `${path}: named by nothing`);
}

/** What was proven, in one line. */
export function provenLine({ index, strays }: Verification): string {
  const { images } = index;
  const all = images.length;
  const booted = images.filter(({ boot }) => boot?.ok).length;
  const reproduced = images.filter(({ reproduced }) => reproduced?.ok).length;
  const unpinned = images.filter(({ unpinned }) => unpinned.length > 0).length;
  return [
    `${index.publication} serial ${index.serial}, holds until ${index.expires.slice(0, 10)}: ${all} ${all === 1 ? 'image' : 'images'}, each with the checksum, signature and provenance of its cell`,
    `${booted} booted in a real Xen, ${reproduced} built again bit for bit, ${unpinned === 0 ? 'all from pinned sources' : `${unpinned} with sources that nothing proves`}`,
    strays ? 'nothing else is there' : 'what else is there cannot be seen from here',
  ].join('; ');
}
