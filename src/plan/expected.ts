import { compareVersions } from '../catalog/version.ts';
import { UsageError } from '../errors.ts';
import type { Cell } from './plan.ts';

/** How long cells take, and what follows from it: their order, and their parts of a matrix. Pure. */

/**
 * Seconds of pv-grub on two cores, by the first Xen release that it holds for; measured once. Only their relation
 * matters: they order and balance.
 */
const PV_GRUB: readonly [from: string, seconds: number][] = [
  ['4.10.0', 90],
  ['4.5.0', 103],
  ['4.3.0', 140],
  ['4.2.0', 100],
  ['4.0.0', 86],
];
const PVGRUB2 = 65;

/** Seconds that a cell is expected to take where nothing is known from earlier runs; the same on every machine. */
export function expectedSeconds({ loader, version }: Pick<Cell, 'loader' | 'version'>): number {
  if (loader === 'pvgrub2') return PVGRUB2;
  return PV_GRUB.find(([from]) => compareVersions(version, from) >= 0)?.[1] ?? PVGRUB2;
}

/** Cells with those first that take longest, so that no long one is left alone at the end. Equals keep their order. */
export function longestFirst<C extends Pick<Cell, 'id' | 'loader' | 'version'>>(
  cells: readonly C[],
  took: ReadonlyMap<string, number>,
): C[] {
  const seconds = (cell: C) => took.get(cell.id) ?? expectedSeconds(cell);
  return cells.toSorted((a, b) => seconds(b) - seconds(a));
}

/** One part of a matrix: the i-th of n, counted from 1. */
export interface Shard {
  index: number;
  count: number;
}

/** Read "2/5". @throws UsageError OPTION_INVALID */
export function parseShard(text: string): Shard {
  const parts = /^([1-9]\d{0,3})\/([1-9]\d{0,3})$/.exec(text);
  const [index, count] = [Number(parts?.[1]), Number(parts?.[2])];
  if (!parts || index > count)
    throw new UsageError('OPTION_INVALID', `--shard ${text}`, { expected: 'the part and the number of parts, such as 2/5' });
  return { index, count };
}

/**
 * All cells in parts that take about as long as each other; every machine that is given the same list comes to the same
 * parts, because nothing but the cells goes into it. With more parts than cells some are empty.
 */
export function inParts<C extends Pick<Cell, 'id' | 'loader' | 'version'>>(cells: readonly C[], count: number): C[][] {
  const parts = Array.from({ length: count }, () => ({ seconds: 0, ids: new Set<string>() }));
  // The longest that is left goes where the least is: within a third of the best there is (Graham, 1969).
  const byId = cells.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  for (const cell of longestFirst(byId, new Map())) {
    const least = parts.reduce((best, part) => (part.seconds < best.seconds ? part : best));
    least.seconds += expectedSeconds(cell);
    least.ids.add(cell.id);
  }
  return parts.map(({ ids }) => cells.filter(({ id }) => ids.has(id)));
}

/** The cells of one part. */
export function shardOf<C extends Pick<Cell, 'id' | 'loader' | 'version'>>(cells: readonly C[], { index, count }: Shard): C[] {
  return inParts(cells, count)[index - 1] as C[];
}
