import { resolve } from 'node:path';
import { knownVersions } from '../catalog/resolve.ts';
import type { SourceRef } from '../catalog/types.ts';
import { formatBytes } from '../config/units.ts';
import { errorData, errorText, SourceError, UsageError } from '../errors.ts';
import { type Cell, type PlanData, planMatrix } from '../plan/plan.ts';
import { renderer } from '../report/render.ts';
import { sourceEvents } from '../report/source-events.ts';
import { table } from '../report/table.ts';
import { ensureSource } from '../sources/fetch.ts';
import { identityOf, Store } from '../sources/store.ts';
import { exportSources, importSources, proofOf, recordsFor } from '../sources/transfer.ts';
import { type ImageCommand, presentArchive } from './attest.ts';
import { type CommonOptions, planData, planned, print, printJson, settingsOf } from './context.ts';
import { exportFor, tellImages } from './corresponding.ts';
import { interruptSignal } from './interrupt.ts';

type Options = CommonOptions & { json?: boolean; progress?: string };

/** Every cell that the catalog knows. */
function catalogCells(data: PlanData): Cell[] {
  const loaders = {
    'pv-grub': { versions: knownVersions(data.catalog, 'pv-grub') },
    pvgrub2: { versions: knownVersions(data.catalog, 'pvgrub2') },
  };
  return planMatrix({ loaders, include: [], exclude: [] }, data);
}

/** Every source of them, by name@version. */
function sourcesOf(cells: readonly Cell[]): Map<string, SourceRef> {
  return new Map(cells.flatMap((cell) => cell.recipe.sources.map((ref) => [`${ref.name}@${ref.version}`, ref] as const)));
}

/** `pvgrub sources fetch` */
export async function fetchCommand(selectors: string[], options: Options): Promise<void> {
  const { settings, cells } = await planned(selectors, options, 'default');
  const emit = renderer(options.progress ?? 'auto');
  const store = new Store(settings.store);
  const signal = interruptSignal((text) => emit({ type: 'note', text }));
  const refs = new Map(cells.flatMap((cell) => cell.recipe.sources.map((ref) => [`${ref.name}@${ref.version}`, ref] as const)));
  const failures: SourceError[] = [];
  for (const ref of refs.values()) {
    try {
      await ensureSource(ref, {
        store,
        settings,
        cwd: process.cwd(),
        signal,
        events: sourceEvents(emit),
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SourceError)) throw error;
      failures.push(error);
      emit({ type: 'source-failed', source: `${ref.name} ${ref.version}`, error: errorData(error) });
    }
  }
  for (const error of failures) process.stderr.write(`pvgrub: ${errorText(error)}\n`);
  process.stderr.write(`${refs.size - failures.length} of ${refs.size} sources are in the store\n`);
  if (failures.length > 0) process.exitCode = 3;
}

/** `pvgrub sources list` */
export async function listCommand(options: Options): Promise<void> {
  const settings = await settingsOf(options);
  const known = sourcesOf(catalogCells(planData(settings.lock)));
  const records = await new Store(settings.store).list();
  const rows = records.map((record) => ({
    ...record,
    commit: identityOf(record).commit,
    proof: proofOf(record, known.get(`${record.name}@${record.version}`)),
  }));
  if (options.json) printJson(rows.map(({ commitObject: _, ...row }) => row));
  else if (rows.length === 0) print(`the store in ${settings.store} is empty`);
  else
    print(
      table(
        ['source', 'version', 'file', 'size>', 'proved by', 'SHA-256', 'from'],
        rows.map((row) => [row.name, row.version, row.file, formatBytes(row.size), row.proof, row.sha256, row.origin]),
      ),
    );
}

/** `pvgrub sources verify` */
export async function verifyCommand(options: Options): Promise<void> {
  const settings = await settingsOf(options);
  const store = new Store(settings.store);
  const records = await store.list();
  const failures: SourceError[] = [];
  for (const record of records) {
    try {
      await store.check({ record, path: store.path(record.sha256), proof: undefined });
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      failures.push(error);
    }
  }
  if (options.json) printJson({ sources: records.length, damaged: failures.map((error) => error.message) });
  else {
    for (const error of failures) process.stderr.write(`pvgrub: ${errorText(error)}\n`);
    print(`${records.length - failures.length} of ${records.length} sources are as they were stored`);
  }
  if (failures.length > 0) process.exitCode = 3;
}

/** `pvgrub sources export` */
export async function exportCommand(
  file: string,
  selectors: string[],
  options: Options & ImageCommand & { for?: string[]; buildImage?: boolean },
): Promise<void> {
  if (options.for !== undefined) {
    if (selectors.length > 0)
      throw new UsageError('OPTION_INVALID', 'selectors are given with --for and without', {
        hint: 'all after --for: its archive holds what they need',
      });
    return exportFor(file, options.for, options);
  }
  const { settings, cells } = await planned(selectors, options, 'all');
  const store = new Store(settings.store);
  const image = options.buildImage ? [(await presentArchive(settings, options)).record] : [];
  const wanted = async () =>
    recordsFor(
      cells.flatMap((cell) => cell.recipe.sources),
      store,
      settings.trust,
    );
  const sources = selectors.length > 0 ? await wanted() : options.buildImage ? [] : await store.list();
  const records = [...sources, ...image];
  if (records.length === 0)
    throw new SourceError('SOURCE_UNAVAILABLE', `the store in ${settings.store} is empty`, { hint: 'pvgrub sources fetch first' });
  for (const record of records) await store.check({ record, path: store.path(record.sha256), proof: undefined });
  await exportSources(records, store, resolve(file));
  print(`${records.length} sources in ${file}`);
}

/** `pvgrub sources import` */
export async function importCommand(file: string, options: Options): Promise<void> {
  const settings = await settingsOf(options);
  const cells = catalogCells(planData(settings.lock));
  const known = sourcesOf(cells);
  const { added, refused, images } = await importSources(
    resolve(file),
    new Store(settings.store),
    (name, version) => known.get(`${name}@${version}`),
    settings.trust,
  );
  for (const { reason } of refused) process.stderr.write(`pvgrub: ${errorText(reason)}\n`);
  print(`${added.length} sources taken in${refused.length > 0 ? `, ${refused.length} refused` : ''}`);
  if (refused.length > 0) process.exitCode = 3;
  else tellImages(images, cells);
}
