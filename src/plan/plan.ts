import { knownVersions } from '../catalog/resolve.ts';
import type { Catalog } from '../catalog/types.ts';
import { meantVersions, seriesOf } from '../catalog/version.ts';
import type { Settings } from '../config/settings.ts';
import { UsageError } from '../errors.ts';
import { pvGrubRecipe } from '../recipes/pv-grub.ts';
import { pvgrub2Recipe } from '../recipes/pvgrub2.ts';
import type { Arch, Edit, Loader, Recipe } from '../recipes/types.ts';
import { select } from './selector.ts';

/** One loader × version × arch: the unit of planning, building, caching, testing and publishing. */
export interface Cell {
  id: string;
  loader: Loader;
  version: string;
  arch: Arch;
  recipe: Recipe;
}

/** Data that planning needs beside the configuration. */
export interface PlanData {
  catalog: Catalog;
  edits: Record<Loader, Edit[]>;
  /** The first configuration that pvgrub2 images carry (loaders/pvgrub2/). */
  pvgrub2Config: string;
  /** What leaves out of pv-grub's packages what no image links, and the list of what stays (loaders/pv-grub/). */
  pvGrub: { trim: string; members: string };
}

const ARCHES: Record<Loader, Arch[]> = { 'pv-grub': ['x86_64', 'x86_32'], pvgrub2: ['x86_64', 'x86_32', 'x86_32_pvh'] };

/**
 * All cells of a configuration, in its own order: loader, version, arch; after include and exclude.
 * @throws UsageError VERSION_UNKNOWN for a version that the catalog does not have
 */
export function planMatrix(settings: Pick<Settings, 'loaders' | 'include' | 'exclude'>, data: PlanData): Cell[] {
  const cells: Cell[] = [];
  for (const loader of ['pv-grub', 'pvgrub2'] as const) {
    const wanted = settings.loaders[loader];
    for (const version of new Set(wanted?.versions.flatMap((entry) => meant(entry, loader, data.catalog)))) {
      for (const arch of new Set(wanted?.arches ?? ARCHES[loader])) {
        const recipe = loader === 'pv-grub' ? pvGrubRecipe(version, arch, data) : pvgrub2Recipe(version, arch, data);
        cells.push({ id: `${loader}-${version}-${arch}`, loader, version, arch: arch as Arch, recipe });
      }
    }
  }
  const ids = cells.map((cell) => cell.id);
  const chosen = new Set(select(ids, [...settings.include, ...settings.exclude.map((text) => `!${text}`)]));
  return cells.filter((cell) => chosen.has(cell.id));
}

/** The versions of the catalog that an entry of a configuration means. */
function meant(entry: string, loader: Loader, catalog: Catalog): string[] {
  const known = knownVersions(catalog, loader);
  const versions = meantVersions(entry, known);
  if (versions.length > 0) return versions;
  throw new UsageError('VERSION_UNKNOWN', `no version of ${loader} in the catalog is meant by ${entry}`, {
    expected: `versions from ${known[0]} to ${known.at(-1)}`,
    got: entry,
    hint: "'4.17.*' is all of a series, '4.17.latest' its newest, '*.latest' the newest of each, '*' all",
  });
}

/**
 * The cells that selectors choose. With none, those of the configuration's `default`, in its order; without a
 * default, all.
 * @throws UsageError SELECTOR_NO_MATCH, or VERSION_UNKNOWN where a selector names a version that exists nowhere
 */
export function chooseCells(cells: readonly Cell[], selectors: readonly string[], fallback: readonly string[], catalog: Catalog): Cell[] {
  const ids = cells.map((cell) => cell.id);
  for (const selector of selectors) explainUnknown(selector, cells, catalog);
  const byId = new Map(cells.map((cell) => [cell.id, cell]));
  const pick = (chosen: string[]) => chosen.map((id) => byId.get(id)).filter((cell) => cell !== undefined);
  if (selectors.length > 0) return pick(select(ids, selectors));
  const negative = fallback.filter((text) => text.startsWith('!'));
  const positive = fallback.filter((text) => !text.startsWith('!'));
  if (positive.length === 0) return pick(select(ids, negative));
  return pick([...new Set(positive.flatMap((text) => select(ids, [text, ...negative])))]);
}

/** A selector that names one version plainly gets a better answer than "matches nothing". */
function explainUnknown(selector: string, cells: readonly Cell[], catalog: Catalog): void {
  const parts = /^(pv-grub|pvgrub2)-(\d[\d.]*)(-.*)?$/.exec(selector);
  if (!parts) return;
  const [, name, version] = parts;
  const loader = name as Loader;
  const isThere = (cell: Cell) => cell.loader === loader && (cell.version === version || seriesOf(cell.version) === version);
  if (version === undefined || cells.some(isThere)) return;
  const known = knownVersions(catalog, loader);
  if (known.includes(version)) {
    throw new UsageError('SELECTOR_NO_MATCH', `${loader} ${version} is in the catalog, but not in this configuration`, {
      hint: `add "${version}" to loaders.${loader}.versions`,
    });
  }
  const series = known.filter(
    (entry) => entry.startsWith(`${version}.`) || entry.startsWith(`${version.split('.').slice(0, 2).join('.')}.`),
  );
  throw new UsageError('VERSION_UNKNOWN', `${loader} ${version} is not in the catalog`, {
    expected: `one of ${(series.length > 0 ? series : known.slice(-8)).join(', ')}`,
    got: version,
    hint: "'pvgrub matrix' lists what can be built; docs/adding-a-version.md tells how to add one",
  });
}
