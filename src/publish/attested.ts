import { unprovedOf } from '../build/metadata.ts';
import { VerifyError } from '../errors.ts';
import { openStatements, type Statement } from './dsse.ts';
import type { PublishedImage } from './index-file.ts';
import type { PublicKey } from './key.ts';
import { readProvenance } from './read-provenance.ts';
import { VERIFICATION_SUMMARY } from './summary.ts';

/** Whether what attests an image is about just that image. Pure. */

/** Files beside an image that say what it is: the image's name and one of these. */
export const ATTESTATIONS = { buildinfo: '.buildinfo', sbom: '.cdx.json', provenance: '.intoto.jsonl' } as const;

/** What attestations are held against. */
type Attested = Pick<PublishedImage, 'id' | 'inputHash' | 'image' | 'unpinned'>;

/**
 * Check an image's attestations against what is said of it.
 * @param texts by name of the file: those that end as {@link ATTESTATIONS} do
 * @param key whose provenance is believed
 * @returns the provenance
 * @throws VerifyError STATEMENT_INVALID, SIGNATURE_INVALID
 */
export function demandAttested(of: Attested, texts: ReadonlyMap<string, string>, key: PublicKey): Statement {
  const { id, image } = of;
  const text = (end: string) => {
    const found = texts.get(`${image.name}${end}`);
    if (found === undefined) throw wrong(`${id} has no ${image.name}${end}`, `${image.name}${end}`, 'no such file');
    return found;
  };
  const where = `${image.name}${ATTESTATIONS.provenance} of ${id}`;
  const [statement] = openStatements(text(ATTESTATIONS.provenance), key, where) as [Statement];
  const told = readProvenance(statement, where);
  const same: [what: string, expected: string, got: string][] = [
    ['cell', id, told.cell.id],
    ['image', image.sha256, told.image.sha256],
    ['input hash', of.inputHash, told.inputHash],
    ['sources that nothing proves', of.unpinned.join(', '), Object.keys(unprovedOf(told.sources)).join(', ')],
  ];
  for (const [what, expected, got] of same) if (expected !== got) throw wrong(`${where} is of another ${what}`, expected, got);
  for (const end of [ATTESTATIONS.buildinfo, ATTESTATIONS.sbom])
    if (!text(end).includes(image.sha256)) throw wrong(`${image.name}${end} of ${id} is of another image`, image.sha256, 'not in it');
  return statement;
}

function wrong(what: string, expected: string, got: string): VerifyError {
  return new VerifyError('STATEMENT_INVALID', what, { expected, got, hint: 'whoever built the image attests it: pvgrub attest' });
}

/** What a provenance says of its image that is data of ours: `boot` or `reproduced`. */
export function saidOf(statement: Statement, name: 'boot' | 'reproduced'): unknown {
  const { byproducts } = statement.predicate['runDetails'] as { byproducts: { name: string; content?: string }[] };
  const content = byproducts.find((one) => one.name === name)?.content;
  return content === undefined ? undefined : JSON.parse(Buffer.from(content, 'base64').toString('utf8'));
}

/** Whether a file beside an image is the summary of somebody who built it again. */
export function isSummary(name: string, image: string): boolean {
  return name.startsWith(`${image}.rebuilt-`) && name.endsWith('.intoto.jsonl');
}

/**
 * Whether such a summary says that it is about an image. Whose word that is has to be seen by who knows the key in its name.
 * @param text a statement in an envelope (DSSE)
 */
export function summaryIsOf(text: string, sha256: string): boolean {
  try {
    const { payload } = JSON.parse(text) as { payload: string };
    const { subject, predicateType } = JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as Statement;
    return predicateType === VERIFICATION_SUMMARY && subject.some(({ digest }) => digest?.['sha256'] === sha256);
  } catch {
    return false;
  }
}
