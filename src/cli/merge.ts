import { appendFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { placedCells } from '../build/artifacts.ts';
import { mergeOutputs } from '../build/merge.ts';
import { refusalOf, UsageError } from '../errors.ts';
import { INDEX } from '../publish/index-file.ts';
import { markdownTable } from '../report/markdown.ts';
import { statOf } from '../util/files.ts';
import { print } from './context.ts';

/** Options of `pvgrub merge`. */
export interface MergeOptions {
  out?: string;
  key?: string;
  expires: string;
  summary?: string;
}

const isPublication = async (folder: string) => (await statOf(join(folder, INDEX))) !== undefined;

/** `pvgrub merge`: join the results of shards, or publications. */
export async function mergeCommand(folders: string[], options: MergeOptions): Promise<void> {
  const { out } = options;
  if (out === undefined) throw new UsageError('OPTION_INVALID', 'merge needs --out', { expected: 'the folder that takes all results' });
  const published = await Promise.all(folders.map(isPublication));
  if (published.every(Boolean)) return mergePublications(folders, out, options);
  const mixed = folders.find((_, i) => published[i]);
  if (mixed !== undefined)
    throw new UsageError('OPTION_INVALID', `${mixed} is a publication, and others here are not`, {
      hint: 'merge results with results, publications with publications',
    });
  const { copied, same } = await mergeOutputs(folders, out);
  print(`${cells(copied)} merged into ${out}${were(same)}; SHA256SUMS covers all that is there`);
  const summary = options.summary ?? (process.env['GITHUB_STEP_SUMMARY'] || undefined);
  if (summary !== undefined) await writeSummary(summary, out);
}

/** A table of all images that are there now, as a build's summary has it. */
async function writeSummary(file: string, out: string): Promise<void> {
  const placed = await placedCells(out);
  const rows = placed.map(({ metadata: { id, image, unpinned, boot, build } }) => ({
    cell: id,
    result: unpinned.length > 0 ? `unpinned: ${unpinned.join(', ')}` : 'pinned',
    image: image.file,
    size: image.size,
    sha256: image.sha256,
    boot: boot?.ok ? { cases: boot.cases.length, hypervisor: boot.hypervisor } : undefined,
    seconds: build.seconds,
  }));
  await appendFile(file, `### pvgrub: ${cells(placed.map(({ metadata }) => metadata.id))} merged\n\n${markdownTable(rows)}\n`).catch(
    (error: unknown) => {
      throw refusalOf(error, file, ['ENOENT', 'ENOSPC']) ?? error;
    },
  );
}

async function mergePublications(folders: string[], out: string, options: MergeOptions): Promise<void> {
  const [{ joinPublications }, { publish }, { signingKey }, { targetAt, wishesOf }] = await Promise.all([
    import('../publish/join.ts'),
    import('../publish/publish.ts'),
    import('./passphrase.ts'),
    import('./publish.ts'),
  ]);
  const key = await signingKey(options.key, (text) => void process.stderr.write(`pvgrub: ${text}\n`));
  const now = new Date();
  const parts = folders.filter((folder) => resolve(folder) !== resolve(out));
  const into = (await isPublication(out)) ? out : undefined;
  const { publication, url, prepared, same, carry } = await joinPublications(parts, into, key.public, now);
  const wishes = { ...(await wishesOf(options)), publication, url, carry };
  const { target, place } = await targetAt(out);
  // Whoever published an unproven one has asked for it; it is marked.
  const { added, index } = await publish({ target, place, prepared, wishes, key, allowUnproven: true, now });
  print(
    `${cells(added)} merged into ${out}${were(same)}; serial ${index.serial}, ${index.images.length} images, signed by ${key.public.id}`,
  );
}

const cells = (list: readonly string[]) => `${list.length} ${list.length === 1 ? 'cell' : 'cells'}`;
const were = (same: readonly string[]) => (same.length === 0 ? '' : `, ${same.length} were the same`);
