import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { miniOsRevision, securityUntil, withRelease } from '../../scripts/release-data.ts';
import { loadCatalog } from '../../src/catalog/load.ts';
import { makeRepo } from '../support/git-repo.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const root = join(import.meta.dirname, '../..');
const catalog = loadCatalog();
const versions = catalog.xen.releases.map((entry) => entry.version);
const C1 = '1'.repeat(40);
const C2 = '2'.repeat(40);

describe("reading a release's own files", () => {
  test.each([
    ['MINIOS_UPSTREAM_REVISION ?= xen-RELEASE-4.17.5\n', 'xen-RELEASE-4.17.5'],
    [`# comment\nMINIOS_UPSTREAM_REVISION ?= ${C1}\nX=1\n`, C1],
    ['QEMU_UPSTREAM_REVISION ?= qemu-xen-4.17.5\n', undefined],
    ['', undefined],
  ])('Config.mk %j names Mini-OS %s', (text, expected) => {
    expect(miniOsRevision(text)).toBe(expected);
  });

  test('SUPPORT.md names the last day of security support', () => {
    expect(securityUntil('    Xen-Version: 4.17\n    Security-Support-Until: 2027-12-12\n')).toBe('2027-12-12');
    expect(securityUntil('Bugs found after the end of **Security-Support-Until**\n')).toBeUndefined();
  });
});

describe('adding to the catalog', () => {
  const next = { version: '4.23.0', date: '2027-03-01', commit: C1, securityUntil: '2032-03-01' };

  test('puts a release, its series and its Mini-OS where they belong', () => {
    const { xen, miniOs } = withRelease(catalog, { ...next, miniOs: { revision: 'xen-RELEASE-4.23.0', commit: C2 } });
    expect(xen.releases.map((entry) => entry.version)).toEqual([...versions, '4.23.0']);
    expect(xen.series.at(-1)).toEqual({ series: '4.23', securityUntil: '2032-03-01' });
    expect(miniOs.ranges.at(-1)).toEqual({ from: '4.23.0', to: '4.23.0', commit: C2 });
    const between = withRelease(catalog, { ...next, version: '4.5.6' });
    expect(between.xen.releases.map((entry) => entry.version)).toEqual(versions.toSpliced(versions.indexOf('4.5.5') + 1, 0, '4.5.6'));
    expect(between.xen.series.map((entry) => entry.series)).toEqual(catalog.xen.series.map((entry) => entry.series));
    expect(between.miniOs).toEqual(catalog.miniOs);
  });

  test('widens the range of a Mini-OS that is the same, and begins one where it is another', () => {
    const last = catalog.miniOs.ranges.find((range) => range.to === '4.20.4');
    const point = { ...next, version: '4.20.5' };
    const same = withRelease(catalog, { ...point, miniOs: { revision: 'x', commit: last?.commit as string } });
    expect(same.miniOs.ranges).toContainEqual({ ...last, to: '4.20.5' });
    const other = withRelease(catalog, { ...point, miniOs: { revision: 'xen-RELEASE-4.20.5' } });
    expect(other.miniOs.ranges).toContainEqual({ from: '4.20.5', to: '4.20.5', commit: null, tag: 'xen-RELEASE-4.20.5' });
    expect(other.miniOs.ranges).toHaveLength(catalog.miniOs.ranges.length + 1);
  });

  test('fills in a commit that has become known', () => {
    const unknown = catalog.miniOs.ranges.find((range) => range.commit === null) as (typeof catalog.miniOs.ranges)[0];
    const release = catalog.xen.releases.find((entry) => entry.version === unknown.from) as (typeof catalog.xen.releases)[0];
    const facts = { version: release.version, date: release.date, commit: release.commit as string };
    const { miniOs } = withRelease(catalog, { ...facts, miniOs: { revision: unknown.tag as string, commit: C1 } });
    expect(miniOs.ranges).toContainEqual({ from: unknown.from, to: unknown.to, commit: C1 });
  });

  test('refuses what contradicts the catalog', async () => {
    const facts = { version: '4.17.5', date: '2024-08-01', commit: C1 };
    expect(await thrownBy(() => withRelease(catalog, facts))).toMatchObject({ message: expect.stringContaining('another commit') });
    const commit = catalog.xen.releases.find((entry) => entry.version === '4.17.5')?.commit as string;
    const miniOs = { revision: 'xen-RELEASE-4.17.9', commit: C2 };
    expect(await thrownBy(() => withRelease(catalog, { ...facts, commit, miniOs }))).toMatchObject({
      message: expect.stringContaining('wants Mini-OS xen-RELEASE-4.17.9'),
    });
  });
});

test('the script reads tags of real repositories, and adding twice changes nothing', () => {
  const folder = tempFolder();
  const data = join(folder, 'catalog');
  cpSync(join(root, 'catalog'), data, { recursive: true });
  const miniOs = makeRepo(join(folder, 'mini-os'));
  const behind = miniOs.commit({ Makefile: 'all:\n' });
  miniOs.git('tag', '-a', '-m', 'tag', 'xen-RELEASE-4.23.0');
  const xen = makeRepo(join(folder, 'xen'));
  const commit = xen.commit({
    'Config.mk': 'MINIOS_UPSTREAM_REVISION ?= xen-RELEASE-4.23.0\n',
    'SUPPORT.md': '    Security-Support-Until: 2032-03-01\n',
  });
  xen.git('tag', 'RELEASE-4.23.0');
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'scripts/add-release.ts'), '--data', data, ...args], { encoding: 'utf8' });
  const added = run('--git', xen.path, '--mini-os-git', miniOs.path, '4.23.0');
  expect(added).toMatchObject({ status: 0, stderr: '' });
  const read = (name: string) => readFileSync(join(data, name), 'utf8');
  const after = [read('xen.json'), read('mini-os.json')];
  expect(loadCatalog(data).xen.releases.at(-1)).toEqual({ version: '4.23.0', date: '2014-09-02', commit });
  expect(loadCatalog(data).miniOs.ranges.at(-1)).toEqual({ from: '4.23.0', to: '4.23.0', commit: behind });
  expect(run('--git', xen.path, '4.23.0').status).toBe(1);
  expect(run('--git', xen.path, '--mini-os-git', miniOs.path, '4.23.0').status).toBe(0);
  expect([read('xen.json'), read('mini-os.json')]).toEqual(after);
  expect(run('--git', xen.path, '4.24.0')).toMatchObject({ status: 1, stderr: expect.stringContaining('no tag RELEASE-4.24.0') });
  expect(run('--git', xen.path, '../x')).toMatchObject({ status: 1, stderr: expect.stringContaining('not a version') });
  expect(run('4.24.0')).toMatchObject({ status: 1, stderr: expect.stringContaining('--git') });
});
