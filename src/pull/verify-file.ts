import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { UsageError, VerifyError } from '../errors.ts';
import { ATTESTATIONS } from '../publish/attested.ts';
import { openStatements } from '../publish/dsse.ts';
import type { PublicKey } from '../publish/key.ts';
import { prehash, verifyMinisign } from '../publish/minisign.ts';
import { readProvenance } from '../publish/read-provenance.ts';
import { ifThere } from '../util/files.ts';
import { sha256 } from '../util/hash.ts';
import { PREVIOUS, SIGNATURE } from './install.ts';

/** What verifying a file found. */
export interface FileVerification {
  file: string;
  sha256: string;
  /** What the signature says it is. */
  comment: string;
  /** Whether a provenance was beside it, which is then of this image, too. */
  provenance: boolean;
}

/**
 * Check a file with what is beside it: its signature, and its provenance if that is there.
 * @throws VerifyError SIGNATURE_INVALID, STATEMENT_INVALID, FILE_DIFFERS; UsageError FILE_UNREADABLE
 */
export async function verifyFile(file: string, key: PublicKey): Promise<FileVerification> {
  const read = (path: string) => ifThere(readFile(path));
  const bytes = await read(file);
  if (!bytes) throw new UsageError('FILE_UNREADABLE', `there is no ${file}`, { expected: 'a file, or a folder or URL of a publication' });
  const signature = await read(`${file}${SIGNATURE}`);
  if (!signature)
    throw new VerifyError('SIGNATURE_INVALID', `${file} has no signature beside it`, {
      expected: `${file}${SIGNATURE}`,
      hint: 'take it from where the file is published',
    });
  const comment = verifyMinisign(prehash(bytes), signature.toString('utf8'), key, file);
  const name = /^file:(\S+)/.exec(comment)?.[1];
  const bare = basename(file, PREVIOUS);
  if (name !== undefined && name !== bare)
    throw new VerifyError('FILE_DIFFERS', `${file} is signed under another name`, {
      expected: name,
      got: bare,
      hint: 'if you renamed it, that is all; else somebody gives out one image as another',
    });
  const statement = await read(`${file}${ATTESTATIONS.provenance}`);
  if (statement) {
    const where = `${file}${ATTESTATIONS.provenance}`;
    const [first] = openStatements(statement.toString('utf8'), key, where);
    const told = readProvenance(first as NonNullable<typeof first>, where);
    if (told.image.sha256 !== sha256(bytes))
      throw new VerifyError('STATEMENT_INVALID', `${where} is of another image`, { expected: sha256(bytes), got: told.image.sha256 });
  }
  return { file, sha256: sha256(bytes), comment, provenance: statement !== undefined };
}
