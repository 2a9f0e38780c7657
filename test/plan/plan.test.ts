import { describe, expect, test } from 'vitest';
import matrixConfig from '../../matrix.config.ts';
import type { ForgeError } from '../../src/errors.ts';
import { chooseCells, type PlanData, planMatrix } from '../../src/plan/plan.ts';
import { realPlanData } from '../support/plan-data.ts';
import { thrownBy } from '../support/temp-folder.ts';

const data: PlanData = realPlanData();
const settings = {
  loaders: { 'pv-grub': { versions: ['4.17.5', '4.1.4'] }, pvgrub2: { versions: ['2.14'], arches: ['x86_64' as const] } },
  include: [],
  exclude: [],
};
const ids = (more: object) => planMatrix({ ...settings, ...more }, data).map((cell) => cell.id);
const all = ['pv-grub-4.17.5-x86_64', 'pv-grub-4.17.5-x86_32', 'pv-grub-4.1.4-x86_64', 'pv-grub-4.1.4-x86_32', 'pvgrub2-2.14-x86_64'];

describe('planMatrix', () => {
  test("gives every loader, version and arch in the configuration's own order", () => {
    expect(ids({})).toEqual(all);
  });

  test('takes all arches of a loader where none are named', () => {
    expect(ids({ loaders: { pvgrub2: { versions: ['2.12'] } } })).toEqual([
      'pvgrub2-2.12-x86_64',
      'pvgrub2-2.12-x86_32',
      'pvgrub2-2.12-x86_32_pvh',
    ]);
  });

  test('makes one cell of a version that is written twice', () => {
    expect(ids({ loaders: { pvgrub2: { versions: ['2.14', '2.14'], arches: ['x86_64', 'x86_64'] } } })).toEqual(['pvgrub2-2.14-x86_64']);
  });

  test('include keeps, exclude leaves out', () => {
    expect(ids({ include: ['pv-grub-*'], exclude: ['*-x86_32'] })).toEqual(['pv-grub-4.17.5-x86_64', 'pv-grub-4.1.4-x86_64']);
  });

  test("takes patterns for the catalog's versions", async () => {
    const versions = (entries: string[]) => [
      ...new Set(planMatrix({ ...settings, loaders: { 'pv-grub': { versions: entries } } }, data).map((cell) => cell.version)),
    ];
    expect(versions(['4.0.*', '4.1.latest', '4.0.2'])).toEqual(['4.0.0', '4.0.1', '4.0.2', '4.0.3', '4.0.4', '4.1.6.1']);
    expect(versions(['latest'])).toEqual([data.catalog.xen.releases.at(-1)?.version]);
    const loaders = { 'pv-grub': { versions: ['4.99.*'] } };
    expect(await thrownBy(() => ids({ loaders }))).toMatchObject({ code: 'VERSION_UNKNOWN', got: '4.99.*' });
  });

  test('a configuration without loaders has no cells', () => {
    expect(ids({ loaders: {} })).toEqual([]);
  });

  test('a version that is not in the catalog is an error', async () => {
    const loaders = { 'pv-grub': { versions: ['4.99.0'] } };
    expect(await thrownBy(() => ids({ loaders }))).toMatchObject({ code: 'VERSION_UNKNOWN', got: '4.99.0' });
  });

  test('planning twice from the same data gives the same and leaves the data as it was', () => {
    const before = structuredClone(data);
    expect(planMatrix(settings, data)).toEqual(planMatrix(settings, data));
    expect(data).toEqual(before);
  });
});

describe('chooseCells', () => {
  const cells = planMatrix(settings, data);
  const choose = (selectors: string[], fallback: string[] = []) =>
    chooseCells(cells, selectors, fallback, data.catalog).map((cell) => cell.id);

  test('without selectors takes the default list in its own order', () => {
    expect(choose([], ['pvgrub2-2.14-x86_64', 'pv-grub-4.1.4-x86_64'])).toEqual(['pvgrub2-2.14-x86_64', 'pv-grub-4.1.4-x86_64']);
  });

  test('a default list may leave out and may name a cell twice', () => {
    expect(choose([], ['pv-grub-*', '!*-x86_32', 'pv-grub-4.17.5'])).toEqual(['pv-grub-4.17.5-x86_64', 'pv-grub-4.1.4-x86_64']);
    expect(choose([], ['!pv-grub'])).toEqual(['pvgrub2-2.14-x86_64']);
  });

  test('without selectors and default takes all', () => {
    expect(choose([])).toEqual(all);
  });

  test('selectors replace the default list', () => {
    expect(choose(['pv-grub-4.1.4-x86_32'], ['pvgrub2'])).toEqual(['pv-grub-4.1.4-x86_32']);
  });

  test('a version that upstream never released is told with its neighbours', async () => {
    const error = (await thrownBy(() => choose(['pv-grub-4.17.99-x86_64']))) as ForgeError;
    expect(error.code).toBe('VERSION_UNKNOWN');
    expect(error.expected).toContain('4.17.5');
    expect(error.expected).not.toContain('4.16');
  });

  test('a version that is only missing in the configuration is told how to add it', async () => {
    const error = (await thrownBy(() => choose(['pv-grub-4.20.4']))) as ForgeError;
    expect(error.code).toBe('SELECTOR_NO_MATCH');
    expect(error.hint).toContain('loaders.pv-grub.versions');
  });
});

describe("the project's own matrix", () => {
  const cells = planMatrix({ loaders: {}, include: [], exclude: [], ...matrixConfig } as never, data);

  test('has every release of the catalog, in each width', () => {
    const releases = data.catalog.xen.releases.map(({ version }) => version);
    const wanted = [
      ...releases.flatMap((version) => ['x86_64', 'x86_32'].map((arch) => `pv-grub-${version}-${arch}`)),
      ...['2.12', '2.14'].flatMap((version) => ['x86_64', 'x86_32', 'x86_32_pvh'].map((arch) => `pvgrub2-${version}-${arch}`)),
    ];
    expect(releases.length).toBeGreaterThanOrEqual(134);
    expect(cells.map((cell) => cell.id)).toEqual(wanted);
  });

  test('builds by default one current cell of each loader', () => {
    const chosen = chooseCells(cells, [], matrixConfig.default ?? [], data.catalog);
    expect(chosen.map((cell) => cell.id)).toEqual(['pv-grub-4.20.4-x86_64', 'pvgrub2-2.14-x86_64']);
  });
});
