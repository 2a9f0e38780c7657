import { VerifyError } from '../errors.ts';
import type { PublicationIndex, Succession } from './index-file.ts';
import { type PublicKey, parsePublicKey, publicKeyLine, type SigningKey } from './key.ts';
import { minisignSignature, prehash, verifyMinisign } from './minisign.ts';

/** Keys that change: each successor is signed by the key before it, and whoever has an old key can follow. Pure. */

/** What the old key signs: the new one, as the second line of a minisign key. The comment keeps it from being taken for a file. */
const content = (to: string) => prehash(Buffer.from(`${to}\n`));
const comment = (publication: string) => `pvgrub-forge succession publication:${publication}`;

/** The statement that `to` follows the key that signs it. */
export function succeed(from: SigningKey, to: PublicKey, publication: string): Succession {
  const line = publicKeyLine(to);
  return {
    from: publicKeyLine(from.public),
    to: line,
    signature: minisignSignature(Buffer.from(`${line}\n`), from, comment(publication)),
  };
}

/**
 * Go from a trusted key to the one that signed an index, over signed successions.
 * @param index whose own signature is not checked yet
 * @returns all keys on the way, the trusted one first, the signer last
 * @throws VerifyError SIGNATURE_INVALID where there is no such way
 */
export function followKeys(
  trusted: PublicKey,
  { key, succession, publication }: Pick<PublicationIndex, 'key' | 'succession' | 'publication'>,
  where: string,
): PublicKey[] {
  const way = [trusted];
  for (let at = publicKeyLine(trusted); at !== key; ) {
    const here = way.at(-1) as PublicKey;
    const next = way.length > succession.length ? undefined : succession.find(({ from }) => from === at);
    if (!next)
      throw new VerifyError('SIGNATURE_INVALID', `${where} is signed by another key`, {
        expected: `a signature by ${trusted.id}, or by a key that it has named as its successor`,
        got: `a signature by ${parsePublicKey(key, 'its key').id}`,
        hint: "compare the key with the publisher's by another way than this one",
      });
    const said = verifyMinisign(content(next.to), next.signature, here, `the successor of ${here.id}`);
    if (said !== comment(publication))
      throw new VerifyError('SIGNATURE_INVALID', `the successor of ${here.id} is of another publication`, {
        expected: comment(publication),
        got: said,
      });
    way.push(parsePublicKey(next.to, 'a successor'));
    at = next.to;
  }
  return way;
}
