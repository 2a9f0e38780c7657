import { join } from 'node:path';
import { OutputError, UsageError } from '../errors.ts';
import { placeAt } from '../pull/place.ts';
import { readIndex } from '../pull/read-index.ts';
import { allFiles, type PublicationIndex, type PublishedImage } from './index-file.ts';
import type { PublicKey } from './key.ts';
import type { Prepared } from './prepare.ts';

/** Publications that become one. */

/** What some publications have together. */
export interface Joined {
  publication: string;
  prepared: Prepared[];
  /** Ids that several have, with the same image. */
  same: string[];
  /** Of all of them: a key that one has revoked is revoked in the whole. */
  carry: Pick<PublicationIndex, 'succession' | 'revoked'>;
}

/**
 * Read publications by one key, to publish what they have as one. Images are read, and checked, when they are copied.
 * @param folders each with an index.json; the one that takes all may be the first
 * @throws OutputError OUTPUT_DIFFERS where two have different images of one cell; UsageError OPTION_INVALID where their
 *   names differ; VerifyError as readIndex
 */
export async function joinPublications(folders: readonly string[], key: PublicKey, now: Date): Promise<Joined> {
  const chosen = new Map<string, { image: PublishedImage; folder: string }>();
  const same: string[] = [];
  const indexes: PublicationIndex[] = [];
  for (const folder of folders) {
    const { index } = await readIndex(await placeAt(folder), { key, now, mayBeExpired: true });
    const [first] = indexes;
    if (first && first.publication !== index.publication)
      throw new UsageError('OPTION_INVALID', `${folder} is another publication`, {
        expected: first.publication,
        got: index.publication,
        hint: 'publish what is built under one name: --name',
      });
    indexes.push(index);
    for (const image of index.images) {
      const other = chosen.get(image.id);
      if (!other) {
        chosen.set(image.id, { image, folder });
        continue;
      }
      const paths = [other, { image, folder }].map((one) => join(one.folder, one.image.path, one.image.image.name));
      if (other.image.image.sha256 !== image.image.sha256)
        throw new OutputError('OUTPUT_DIFFERS', `two images of ${image.id} differ`, {
          expected: `${other.image.image.sha256} (${paths[0]})`,
          got: `${image.image.sha256} (${paths[1]})`,
          hint: 'take one of them out of its publication (publish --withdraw), or leave that folder out',
        });
      same.push(image.id);
    }
  }
  return {
    publication: indexes[0]?.publication ?? '',
    prepared: [...chosen.values()].map(({ image, folder }) => ({
      image,
      contents: new Map(allFiles(image).map(({ name }) => [name, join(folder, image.path, name)])),
    })),
    same,
    carry: { succession: indexes.flatMap(({ succession }) => succession), revoked: indexes.flatMap(({ revoked }) => revoked) },
  };
}
