import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { miniOsRevision, type ReleaseFacts, securityUntil, withRelease } from '../../scripts/release-data.ts';
import { loadCatalog } from '../../src/catalog/load.ts';
import type { Catalog } from '../../src/catalog/types.ts';
import { makeRepo } from '../support/git-repo.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const root = join(import.meta.dirname, '../..');
const C1 = '1'.repeat(40);
const C2 = '2'.repeat(40);
const C3 = '3'.repeat(40);

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

/** A catalog of its own: releases that are added to the product's must not change what is tested. */
const miniOsRange = (from: string, to: string, commit: string | null, tag?: string) => ({ from, to, commit, ...(tag ? { tag } : {}) });
const small: Pick<Catalog, 'xen' | 'miniOs'> = {
  xen: {
    ...{ name: 'xen', git: 'https://xen.invalid/xen.git', tarball: 'https://xen.invalid/{version}', key: 'A'.repeat(40) },
    series: [
      { series: '4.5', securityUntil: null },
      { series: '4.20', securityUntil: '2030-03-05' },
      { series: '4.21', securityUntil: '2030-11-19' },
    ],
    releases: ['4.5.5', '4.20.4', '4.21.0'].map((version) => ({ version, date: '2026-01-01', commit: C3 })),
  },
  miniOs: {
    ...{ name: 'mini-os', git: 'https://xen.invalid/mini-os.git' },
    ranges: [miniOsRange('4.20.4', '4.20.4', C1), miniOsRange('4.21.0', '4.21.0', null, 'xen-RELEASE-4.21.0')],
  },
};

describe('adding to the catalog', () => {
  const add = (version: string, miniOs?: ReleaseFacts['miniOs'], more: Partial<ReleaseFacts> = {}) =>
    withRelease(small, { version, date: '2027-03-01', commit: C3, ...(miniOs ? { miniOs } : {}), ...more });

  test('puts a release, its series and its Mini-OS where they belong', () => {
    const { xen, miniOs } = add('4.23.0', { revision: 'xen-RELEASE-4.23.0', commit: C2 }, { securityUntil: '2032-03-01' });
    expect(xen.releases.at(-1)).toEqual({ version: '4.23.0', date: '2027-03-01', commit: C3 });
    expect(xen.series.at(-1)).toEqual({ series: '4.23', securityUntil: '2032-03-01' });
    expect(miniOs.ranges).toEqual([...small.miniOs.ranges, miniOsRange('4.23.0', '4.23.0', C2)]);
    const between = add('4.5.6');
    expect(between.xen.releases.map((entry) => entry.version)).toEqual(['4.5.5', '4.5.6', '4.20.4', '4.21.0']);
    expect(between.xen.series).toEqual(small.xen.series);
    expect(between.miniOs).toEqual(small.miniOs);
  });

  test('moves the end of support on, and never back', () => {
    expect(add('4.20.5', undefined, { securityUntil: '2031-01-01' }).xen.series[1]).toEqual({
      series: '4.20',
      securityUntil: '2031-01-01',
    });
    expect(add('4.20.5', undefined, { securityUntil: '2029-01-01' }).xen.series[1]).toEqual(small.xen.series[1]);
  });

  test('widens the range of a Mini-OS that is the same, and begins one where it is another', () => {
    const [first, second] = small.miniOs.ranges;
    expect(add('4.20.5', { revision: 'x', commit: C1 }).miniOs.ranges).toEqual([miniOsRange('4.20.4', '4.20.5', C1), second]);
    const tag = 'xen-RELEASE-4.20.5';
    expect(add('4.20.5', { revision: tag }).miniOs.ranges).toEqual([first, miniOsRange('4.20.5', '4.20.5', null, tag), second]);
    // Known by its tag alone up to now: with the next release that names it, its commit comes to be known.
    const next = { revision: 'xen-RELEASE-4.21.0' };
    expect(add('4.21.1', next).miniOs.ranges).toEqual([first, { ...second, to: '4.21.1' }]);
    expect(add('4.21.1', { ...next, commit: C2 }).miniOs.ranges).toEqual([first, miniOsRange('4.21.0', '4.21.1', C2)]);
  });

  test('fills in a commit that has become known, and forgets none that could not be looked up', () => {
    const revision = 'xen-RELEASE-4.21.0';
    expect(add('4.21.0', { revision, commit: C2 }).miniOs.ranges.at(-1)).toEqual(miniOsRange('4.21.0', '4.21.0', C2));
    expect(add('4.21.0', { revision }).miniOs).toEqual(small.miniOs);
    expect(add('4.20.4', { revision: 'xen-RELEASE-4.20.0' }).miniOs).toEqual(small.miniOs);
  });

  test('refuses what contradicts the catalog', async () => {
    const message = async (call: () => unknown) => String(await thrownBy(call));
    expect(await message(() => add('4.20.4', undefined, { commit: C1 }))).toContain('another commit');
    expect(await message(() => add('4.20.4', { revision: 'x', commit: C2 }))).toContain('wants Mini-OS x');
    expect(await message(() => add('4.21.0', { revision: 'xen-RELEASE-4.21.9' }))).toContain('wants Mini-OS xen-RELEASE-4.21.9');
  });
});

test('the script reads tags of real repositories, and adding twice changes nothing', () => {
  const folder = tempFolder();
  const data = join(folder, 'catalog');
  cpSync(join(root, 'catalog'), data, { recursive: true });
  const write = (name: string, part: object) => writeFileSync(join(data, name), JSON.stringify({ what: 'A test.', ...part }));
  write('xen.json', small.xen);
  write('mini-os.json', small.miniOs);
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
  expect(after[0]).toContain('A test.');
  expect(loadCatalog(data).xen.releases.at(-1)).toEqual({ version: '4.23.0', date: '2014-09-02', commit });
  expect(loadCatalog(data).miniOs.ranges.at(-1)).toEqual({ from: '4.23.0', to: '4.23.0', commit: behind });
  expect(run('--git', xen.path, '4.23.0').status).toBe(0);
  expect(run('--git', xen.path, '--mini-os-git', miniOs.path, '4.23.0').status).toBe(0);
  expect([read('xen.json'), read('mini-os.json')]).toEqual(after);
  expect(run('--git', xen.path, '4.24.0')).toMatchObject({ status: 1, stderr: expect.stringContaining('no tag RELEASE-4.24.0') });
  expect(run('--git', xen.path, '../x')).toMatchObject({ status: 1, stderr: expect.stringContaining('not a version') });
  expect(run('4.24.0')).toMatchObject({ status: 1, stderr: expect.stringContaining('--git') });
});
