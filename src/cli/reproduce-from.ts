import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { cellFolder, outputError } from '../build/artifacts.ts';
import { UsageError } from '../errors.ts';
import { openStatements, signStatement } from '../publish/dsse.ts';
import { loadPublicKey } from '../publish/key-files.ts';
import { PROVENANCE } from '../publish/provenance.ts';
import { readProvenance } from '../publish/read-provenance.ts';
import { verificationSummary } from '../publish/summary.ts';
import { renderer } from '../report/render.ts';
import { differenceOf, rebuild } from '../reproduce/from.ts';
import { writeFileAtomic } from '../util/files.ts';
import { sha256 } from '../util/hash.ts';
import { bareSettings, type CommonOptions, print } from './context.ts';
import { withEngine } from './engines.ts';
import { signingKey } from './passphrase.ts';
import { secrets } from './secrets.ts';

/** Options of `pvgrub reproduce --from`. */
export interface FromOptions extends CommonOptions {
  from: string;
  signedBy?: string;
  key?: string;
  setup: boolean;
  yes?: boolean;
  progress: string;
}

/** `pvgrub reproduce --from`: build an image again from its published provenance, compare, and attest what came of it. */
export async function reproduceFrom(options: FromOptions): Promise<void> {
  const emit = renderer(options.progress);
  if (options.signedBy === undefined)
    throw new UsageError('KEY_MISSING', 'whose provenance it is must be known: its commands are run here', {
      hint: "--signed-by <public key>: the publisher's .pub file, or the line in it",
    });
  const publisher = await loadPublicKey(options.signedBy);
  const bytes = await read(options.from);
  const text = bytes.toString('utf8');
  const statements = openStatements(text, publisher, options.from);
  const found = statements.find(({ predicateType }) => predicateType === PROVENANCE) ?? statements[0];
  const told = readProvenance(found as NonNullable<typeof found>, options.from);
  const signs = options.key !== undefined || secrets['PVGRUB_KEY'];
  const key = signs ? await signingKey(options.key, (warning) => emit({ type: 'warning', text: warning })) : undefined;
  // Whose configuration lies around here is no matter: the provenance says all.
  const settings = { ...bareSettings(options), offline: true };
  await withEngine(settings, options, emit, async (engine, signal) => {
    const rebuilt = await rebuild(told, { engine, settings, signal, emit });
    const failure = differenceOf(told, rebuilt);
    if (key) {
      const summary = verificationSummary(
        {
          image: told.image,
          loader: told.cell.loader,
          version: told.cell.version,
          provenance: { file: basename(options.from), sha256: sha256(bytes) },
          buildImage: rebuilt.buildImage,
          ok: failure === undefined,
          when: new Date(),
        },
        key.public,
      );
      // Not beside an image of our own, which the next build would replace with all that is there.
      const folder = cellFolder(join(settings.output, 'rebuilt'), told.cell);
      const file = join(folder, `${told.image.file}.rebuilt-${key.public.id}.intoto.jsonl`);
      await writeFileAtomic(file, signStatement(summary, key)).catch((error: unknown) => {
        throw outputError(error, settings.output);
      });
      print(`${file}: what came of it, signed by ${key.public.id}`);
    } else emit({ type: 'note', text: 'nothing is attested: no key of your own is given (--key)' });
    if (failure) throw failure;
    print(`${told.cell.id}: the same image again, from its provenance alone: sha256 ${told.image.sha256}`);
  });
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new UsageError('FILE_UNREADABLE', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
