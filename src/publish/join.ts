import { join } from 'node:path';
import { OutputError, UsageError } from '../errors.ts';
import { placeAt } from '../pull/place.ts';
import { readIndex } from '../pull/read-index.ts';
import { allFiles, type PublicationIndex, type PublishedImage } from './index-file.ts';
import { type PublicKey, publicKeyLine } from './key.ts';
import type { Prepared } from './prepare.ts';

/** Publications that become one. */

/** What some publications have together. */
export interface Joined {
  publication: string;
  url: string | undefined;
  prepared: Prepared[];
  /** Ids that several have, with the same image. */
  same: string[];
  /** Of all of them: a key that one has revoked is revoked in the whole. */
  carry: Pick<PublicationIndex, 'succession' | 'revoked'>;
}

/**
 * Read publications by one key, to publish what they have as one. Images are read, and checked, when they are copied.
 * @param folders each with an index.json
 * @param into the publication that takes all, where there is one already
 * @throws OutputError OUTPUT_DIFFERS where two have different images of one cell; UsageError OPTION_INVALID where their
 *   names differ; VerifyError as readIndex
 */
export async function joinPublications(folders: readonly string[], into: string | undefined, key: PublicKey, now: Date): Promise<Joined> {
  const chosen = new Map<string, Found>();
  const same: string[] = [];
  const indexes: PublicationIndex[] = [];
  for (const folder of [...(into === undefined ? [] : [into]), ...folders]) {
    const { index } = await readIndex(await placeAt(folder), { key, now, mayBeExpired: true });
    demandAlike(folder, index, indexes[0], key);
    indexes.push(index);
    for (const image of index.images) {
      const [found, other] = [{ image, folder }, chosen.get(image.id)];
      demandSameImage(other, found);
      if (other) same.push(image.id);
      // The same folder again may mend what is damaged where all is joined.
      if (!other || (other.folder === into && other.image.path === image.path)) chosen.set(image.id, found);
    }
  }
  return {
    publication: indexes[0]?.publication ?? '',
    url: indexes.find(({ url }) => url !== undefined)?.url,
    prepared: [...chosen.values()]
      // What is there already stays as it is.
      .filter(({ folder }) => folder !== into)
      .map(({ image, folder }) => ({
        image,
        contents: new Map(allFiles(image).map(({ name }) => [name, join(folder, image.path, name)])),
      })),
    same,
    carry: { succession: indexes.flatMap(({ succession }) => succession), revoked: indexes.flatMap(({ revoked }) => revoked) },
  };
}

/** An image, and the publication that has it. */
interface Found {
  image: PublishedImage;
  folder: string;
}

function demandAlike(folder: string, index: PublicationIndex, first: PublicationIndex | undefined, key: PublicKey): void {
  if (first && first.publication !== index.publication)
    throw new UsageError('OPTION_INVALID', `${folder} is another publication`, {
      expected: first.publication,
      got: index.publication,
      hint: 'publish what is built under one name: --name',
    });
  if (index.key !== publicKeyLine(key))
    throw new UsageError('KEY_INVALID', `${folder} is signed by another key`, {
      expected: publicKeyLine(key),
      got: index.key,
      hint: 'merge with the key that signs now; attest and publish again what is signed by the one before',
    });
}

function demandSameImage(before: Found | undefined, found: Found): void {
  if (!before || before.image.image.sha256 === found.image.image.sha256) return;
  const told = ({ image, folder }: Found) => `${image.image.sha256} (${join(folder, image.path, image.image.name)})`;
  throw new OutputError('OUTPUT_DIFFERS', `two images of ${found.image.id} differ`, {
    expected: told(before),
    got: told(found),
    hint: 'take one of them out of its publication (publish --withdraw), or leave that folder out',
  });
}
