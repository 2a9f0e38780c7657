import { knownVersions } from '../catalog/resolve.ts';
import type { Catalog } from '../catalog/types.ts';
import { compareVersions, seriesOf } from '../catalog/version.ts';
import type { Cell } from '../plan/plan.ts';
import { table } from '../report/table.ts';

/**
 * What upstream says of a series on a day: "until 2027-12-12", "end of life since 2024-12-02", "end of life"; empty
 * where nothing is known (GRUB 2 has no such days).
 * @param today ISO 8601
 */
export function supportText(catalog: Catalog, { loader, version }: Pick<Cell, 'loader' | 'version'>, today: string): string {
  const known = loader === 'pv-grub' ? catalog.xen.series.find((entry) => entry.series === seriesOf(version)) : undefined;
  if (!known) return '';
  const { securityUntil } = known;
  if (securityUntil === null) return 'end of life';
  return securityUntil < today ? `end of life since ${securityUntil}` : `until ${securityUntil}`;
}

/** A table of the series: how many of their cells are built, and whether upstream still supports them. Newest first. */
export function seriesTable(states: readonly { cell: Cell; built: unknown }[], catalog: Catalog, today: string): string {
  const groups = Map.groupBy(states, ({ cell }) => `${cell.loader} ${seriesOf(cell.version)}`);
  const rows = [...groups].map(([name, group]) => {
    const [{ cell }] = group as [{ cell: Cell }, ...unknown[]];
    const versions = [...new Set(group.map((state) => state.cell.version))].toSorted(compareVersions);
    const all = knownVersions(catalog, cell.loader).filter((version) => seriesOf(version) === seriesOf(cell.version));
    const built = group.filter((state) => state.built !== undefined).length;
    return {
      cell,
      row: [
        name,
        versions.length > 1 ? `${versions[0]} to ${versions.at(-1)}` : `${versions[0]}`,
        versions.length === all.length ? String(all.length) : `${versions.length} of ${all.length}`,
        [...new Set(group.map((state) => state.cell.arch))].join(' '),
        `${built} of ${group.length}`,
        supportText(catalog, cell, today),
      ],
    };
  });
  const order = rows.toSorted((a, b) => (a.cell.loader === b.cell.loader ? compareVersions(b.cell.version, a.cell.version) : 0));
  return table(
    ['series', 'versions', 'releases>', 'widths', 'built>', 'security support'],
    order.map(({ row }) => row),
  );
}
