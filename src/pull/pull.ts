import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SourceError, VerifyError } from '../errors.ts';
import { imageComment, MAX_SIGNATURE, type PublishedImage } from '../publish/index-file.ts';
import type { PublicKey } from '../publish/key.ts';
import { prehash, verifyMinisign } from '../publish/minisign.ts';
import { claim } from '../sources/claim.ts';
import { ifThere, settleFile, writeFileAtomic } from '../util/files.ts';
import { hashFile, sha256, sha256File } from '../util/hash.ts';
import { SIGNATURE } from './install.ts';
import type { Place, Transfer } from './place.ts';
import { inFolder } from './room.ts';

/**
 * Get an image and its signature into a folder. Neither is there under its name before both have been verified; a
 * transfer that is cut goes on where it stopped.
 * @param signer whose signature the image must have
 * @returns the path, and whether the very image was there already
 * @throws VerifyError FILE_DIFFERS, SIGNATURE_INVALID; SourceError DOWNLOAD_FAILED, SOURCE_TOO_LARGE, STORE_DISK_FULL;
 *   UsageError FILE_UNREADABLE
 */
export async function pullImage(
  place: Place,
  image: PublishedImage,
  signer: PublicKey,
  folder: string,
  transfer: Transfer,
): Promise<{ path: string; there: boolean }> {
  const path = join(folder, image.image.name);
  const signature = await pullSignature(place, image, transfer.signal);
  return inFolder(folder, async () => {
    await mkdir(folder, { recursive: true });
    if ((await ifThere(sha256File(path))) === image.image.sha256) {
      demandSigned(await readFile(path), signature, image, signer);
      await writeFileAtomic(`${path}${SIGNATURE}`, signature);
      return { path, there: true };
    }
    const part = join(folder, `.${image.image.name}.${image.image.sha256.slice(0, 16)}.part`);
    const release = await claim(part);
    if (!release) throw new SourceError('DOWNLOAD_FAILED', `another process is downloading ${path}`, { hint: 'wait until it is done' });
    try {
      await pullBytes(place, image, part, transfer);
      demandSigned(await readFile(part), signature, image, signer);
      await settleFile(part);
      await writeFileAtomic(`${path}${SIGNATURE}`, signature);
      await rename(part, path);
      return { path, there: false };
    } finally {
      await release();
    }
  });
}

/** Bytes into a partial file, until they are the right ones. What an earlier run left may be of a file that has changed: then once anew. */
async function pullBytes(place: Place, { path, image, id }: PublishedImage, part: string, transfer: Transfer): Promise<void> {
  for (const last of [false, true]) {
    await place.fetch({ ...image, path: `${path}/${image.name}` }, part, transfer);
    const { sha256: is, size } = await hashFile(part);
    if (is === image.sha256) return;
    await rm(part, { force: true });
    if (last)
      throw new VerifyError('FILE_DIFFERS', `${image.name} of ${id} from ${place.name} is not the image of the index`, {
        expected: `${image.sha256}, ${image.size} bytes`,
        got: `${is}, ${size} bytes`,
        hint: 'nothing of it was kept: try another mirror, and tell the publisher',
      });
  }
}

async function pullSignature(place: Place, { path, image, files, id }: PublishedImage, signal: AbortSignal | undefined): Promise<Buffer> {
  const name = `${image.name}${SIGNATURE}`;
  const file = files.find((one) => one.name === name);
  const bytes = file && (await place.read(`${path}/${name}`, MAX_SIGNATURE, { sha256: file.sha256, signal }));
  if (bytes && sha256(bytes) === file.sha256) return bytes;
  throw new VerifyError('FILE_DIFFERS', `the signature of ${id} from ${place.name} is not the one of the index`, {
    expected: file?.sha256 ?? `${name} in the index`,
    got: bytes ? sha256(bytes) : 'no such file',
    hint: 'try another mirror, and tell the publisher',
  });
}

function demandSigned(bytes: Uint8Array, signature: Buffer, image: PublishedImage, signer: PublicKey): void {
  const said = verifyMinisign(prehash(bytes), signature.toString('utf8'), signer, image.image.name);
  if (said === imageComment(image)) return;
  throw new VerifyError('SIGNATURE_INVALID', `the signature of ${image.id} is for another image`, {
    expected: imageComment(image),
    got: said,
  });
}
