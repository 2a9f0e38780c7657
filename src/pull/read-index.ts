import { SourceError, VerifyError } from '../errors.ts';
import { INDEX, INDEX_SIGNATURE, lastingSignature, MAX_INDEX, MAX_SIGNATURE } from '../publish/index-file.ts';
import { sha256 } from '../util/hash.ts';
import type { Place } from './place.ts';
import { type Demands, type Opened, openIndex } from './trust.ts';

/**
 * Read the index of a publication, and open it. Publishing replaces index.json last, and the signature beside it a moment
 * before: a reader in between finds the one that belongs to the index it has under `signatures/`.
 * @throws VerifyError as openIndex; SourceError SOURCE_UNAVAILABLE where there is none, and as the place
 */
export async function readIndex(place: Place, demands: Omit<Demands, 'where'>, signal?: AbortSignal): Promise<Opened> {
  const where = `${INDEX} of ${place.name}`;
  const bytes = await place.read(INDEX, MAX_INDEX, { signal });
  if (!bytes)
    throw new SourceError('SOURCE_UNAVAILABLE', `there is no publication at ${place.name}`, {
      expected: INDEX,
      hint: 'give the address of the folder that has index.json in it',
    });
  let wrong: VerifyError | undefined;
  for (const path of [INDEX_SIGNATURE, lastingSignature(sha256(bytes))]) {
    const signature = await place.read(path, MAX_SIGNATURE, { signal });
    if (!signature) continue;
    try {
      return openIndex(bytes, signature.toString('utf8'), { ...demands, where });
    } catch (error) {
      if (!(error instanceof VerifyError) || error.code !== 'SIGNATURE_INVALID') throw error;
      wrong ??= error;
    }
  }
  throw (
    wrong ??
    new VerifyError('SIGNATURE_INVALID', `${where} is not signed`, {
      expected: INDEX_SIGNATURE,
      hint: 'take it from where it is published',
    })
  );
}
