import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeRoot, loadCatalog, productRoot } from '../catalog/load.ts';
import type { Catalog } from '../catalog/types.ts';
import { loadConfig } from '../config/load.ts';
import { type Overrides, positiveInteger, type Settings, settle } from '../config/settings.ts';
import { UsageError } from '../errors.ts';
import { type Cell, chooseCells, type PlanData, planMatrix } from '../plan/plan.ts';
import { loadEdits } from '../recipes/edits.ts';
import { lockedCatalog, readLock } from '../sources/lock.ts';

/** Options that several commands have. */
export interface CommonOptions {
  config?: string;
  store?: string;
  cacheDir?: string;
  lock?: string;
  out?: string;
  engine?: string[];
  jobs?: string;
  offline?: boolean;
  origin?: string[];
  trust?: string[];
  base?: string;
}

/**
 * The product's own data: catalog, edits, first configuration. PVGRUB_DATA names another folder that has them.
 * @param lock a lock file, whose checksums the catalog gets
 */
export function planData(lock?: string, env: NodeJS.ProcessEnv = process.env): PlanData {
  const root = env['PVGRUB_DATA'] || productRoot;
  const catalog = loadCatalog(join(root, 'catalog'));
  const text = (name: string) => readFileSync(join(root, 'loaders', name), 'utf8');
  return {
    catalog: lock === undefined ? catalog : lockedCatalog(catalog, readLock(lock)),
    edits: { 'pv-grub': loadEdits(join(root, 'edits/pv-grub')), pvgrub2: loadEdits(join(root, 'edits/pvgrub2')) },
    pvgrub2Config: text('pvgrub2/grub.cfg'),
    pvGrub: { trim: text('pv-grub/trim.pl'), members: text('pv-grub/newlib-members.txt') },
  };
}

/** Settings from configuration, environment and flags. */
export async function settingsOf(options: CommonOptions): Promise<Settings> {
  const cwd = process.cwd();
  const env = process.env;
  const { config, file } = await loadConfig({
    file: options.config ?? (env['PVGRUB_CONFIG'] || undefined),
    from: cwd,
    fallback: codeRoot,
  });
  return settle({ config, file, overrides: overridesOf(options), env, cwd });
}

/** Settings of environment and flags alone: for commands that load no configuration, because it is code. */
export function bareSettings(options: CommonOptions): Settings {
  return settle({ config: {}, overrides: overridesOf(options), env: process.env, cwd: process.cwd() });
}

function overridesOf(options: CommonOptions): Overrides {
  return {
    output: options.out,
    store: options.store,
    cache: options.cacheDir,
    lock: options.lock,
    engines: options.engine,
    jobs: options.jobs === undefined ? undefined : positiveInteger(options.jobs, '--jobs'),
    offline: options.offline,
    origins: options.origin,
    trust: options.trust,
    base: options.base,
  };
}

/** A misspelt source name would be ignored without a word: it is an error. */
function knownNames({ catalog }: PlanData, names: readonly string[]): void {
  const known = ['xen', 'mini-os', ...catalog.externals.map((external) => external.name), 'grub2', 'xen-hypervisor', 'build-image'];
  const wrong = names.find((name) => !known.includes(name.replace(/@.*$/, '')));
  if (wrong !== undefined)
    throw new UsageError('OPTION_INVALID', `"${wrong}" is no source`, {
      expected: `one of ${known.join(', ')}, or with a version: xen@4.17.5`,
    });
}

/** Settings, and the cells that selectors choose of the matrix. */
export async function planned(
  selectors: readonly string[],
  options: CommonOptions,
  fallback: 'default' | 'all',
): Promise<{ settings: Settings; cells: Cell[]; catalog: Catalog }> {
  const settings = await settingsOf(options);
  const data = planData(settings.lock);
  knownNames(data, [...Object.keys(settings.origins), ...settings.trust]);
  const matrix = planMatrix(settings, data);
  const cells = chooseCells(matrix, selectors, fallback === 'default' ? settings.default : [], data.catalog);
  return { settings, cells, catalog: data.catalog };
}

/** Print to stdout. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Print JSON to stdout. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}
