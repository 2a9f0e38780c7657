import { cellFolder, readMetadata } from '../build/artifacts.ts';
import { positiveInteger } from '../config/settings.ts';
import { findEngine } from '../engine/find/find.ts';
import { UsageError } from '../errors.ts';
import type { Cell } from '../plan/plan.ts';
import { type ReportFlags, reporter } from '../report/files.ts';
import { runReproduce } from '../reproduce/run.ts';
import { chosenVariations } from '../reproduce/variations.ts';
import { type CommonOptions, planned } from './context.ts';
import { withEngine } from './engines.ts';

interface ReproduceOptions extends CommonOptions, ReportFlags {
  from?: string;
  signedBy?: string;
  key?: string;
  vary?: string;
  sample?: string;
  otherEngine?: string;
  setup: boolean;
  yes?: boolean;
}

/** `pvgrub reproduce`: build cells again under variations, and compare. */
export async function reproduceCommand(selectors: string[], options: ReproduceOptions): Promise<void> {
  if (options.from !== undefined) {
    if (selectors.length > 0 || options.vary !== undefined || options.otherEngine !== undefined || options.sample !== undefined)
      throw new UsageError('OPTION_INVALID', '--from takes neither selectors nor variations nor a sample', {
        hint: 'the provenance names the one image',
      });
    return (await import('./reproduce-from.ts')).reproduceFrom({ ...options, from: options.from });
  }
  if (options.signedBy !== undefined || options.key !== undefined)
    throw new UsageError('OPTION_INVALID', '--signed-by and --key belong to --from', { hint: 'pvgrub reproduce --help' });
  const emit = reporter(options);
  const variations = chosenVariations(options.vary);
  const size = options.sample === undefined ? undefined : positiveInteger(options.sample, '--sample');
  const { settings, cells: all } = await planned(selectors, options, 'default');
  const cells = size === undefined ? all : await sampleOf(all, settings.output, size);
  await withEngine(settings, options, emit, async (engine, signal, share) => {
    const other = options.otherEngine === undefined ? undefined : await findEngine(options.otherEngine);
    if (other && (other.endpoint === engine.endpoint || (other.id && other.id === engine.id)))
      throw new UsageError('OPTION_INVALID', '--other-engine names the engine that is used already', {
        got: `${engine.endpoint} and ${other.endpoint}`,
        hint: 'give the address of another engine, or leave it out',
      });
    const result = await runReproduce(cells, { engine, share, other, settings, cwd: process.cwd(), emit, signal, variations });
    process.exitCode = result.exit;
  });
}

/** Some of the cells that are built: those whose images have the lowest checksums, which nobody can choose. */
async function sampleOf(cells: readonly Cell[], output: string, size: number): Promise<Cell[]> {
  const found = await Promise.all(cells.map(async (cell) => ({ cell, metadata: await readMetadata(cellFolder(output, cell)) })));
  const built = found.flatMap(({ cell, metadata }) => (metadata ? [{ cell, sum: metadata.image.sha256 }] : []));
  if (built.length === 0)
    throw new UsageError('SELECTOR_NO_MATCH', `none of these cells is built in ${output}`, {
      hint: 'pvgrub build first, or name another --out',
    });
  return built
    .toSorted((a, b) => (a.sum < b.sum ? -1 : 1))
    .slice(0, size)
    .map(({ cell }) => cell);
}
