import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadCatalog } from '../../src/catalog/load.ts';
import { externalSources, grub2Source, knownVersions, miniOsSource, mirrorUrl, readsOf, xenSource } from '../../src/catalog/resolve.ts';
import type { Catalog } from '../../src/catalog/types.ts';
import { UsageError } from '../../src/errors.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const external = {
  name: 'zlib',
  version: '1.2.3',
  file: 'zlib-1.2.3.tar.gz',
  top: 'zlib-1.2.3',
  size: 9,
  sha256: 'e1',
  sha512: 'e2',
  md5: 'm',
  sha1: 's1',
};
const catalog: Catalog = {
  licences: { sources: {}, images: {} },
  xen: {
    name: 'xen',
    git: 'https://git.invalid/xen.git',
    tarball: 'https://files.invalid/{version}/xen-{version}.tar.gz',
    key: 'AB',
    series: [],
    releases: [
      { version: '4.10.0', date: '2017-12-13', sha512: 's512', commit: 'c10' },
      { version: '4.2.0', date: '2012-09-17', sha256: 's256', commit: 'c2', size: 7 },
      { version: '4.2.3', date: '2013-09-10', commit: 'c3' },
      { version: '4.11.0', date: '2018-07-10', commit: 'c11' },
      { version: '4.20.0', date: '2025-03-05', sha256: 's20', commit: 'c20' },
    ],
  },
  miniOs: {
    name: 'mini-os',
    git: 'https://git.invalid/mini-os.git',
    ranges: [
      { from: '4.6.0', to: '4.9.4', commit: '0123456789abcdef0123456789abcdef01234567' },
      { from: '4.10.0', to: '4.10.0', commit: null, tag: 'xen-RELEASE-4.10.0' },
      { from: '4.11.0', to: '4.11.0', commit: null, tag: 'xen-RELEASE-4.11.0' },
      { from: '4.20.0', to: '4.20.0', commit: null, tag: 'xen-RELEASE-4.20.0' },
    ],
  },
  mirrors: [{ what: 'one', url: 'https://mirror.invalid/{file}/{sha512}' }],
  reads: {
    kernelCompressions: [{ names: ['none'] }, { from: '4.10.0', names: ['lz4', 'xz'] }],
    fileSystems: [{ names: ['ext2'] }],
  },
  externals: [
    { ...external, tarballs: ['https://files.invalid/zlib-1.2.3.tar.gz'] },
    { ...external, name: 'lwip', from: '4.3.0', commit: 'c9', git: 'https://git.invalid/lwip.git', tarballs: [] },
    { ...external, name: 'old', to: '4.2.3', commit: 'c8', tarballs: [] },
  ],
  grub2: {
    name: 'grub2',
    tarball: 'https://files.invalid/grub-{version}.tar.xz',
    releases: [
      {
        version: '2.12',
        date: '2023-12-20',
        sha256: 'g',
        debian: { package: 'grub2', file: 'g.orig.tar.xz', suites: ['sid'] },
        warnings: ['old'],
      },
      { version: '2.14', date: '2026-01-14', sha256: 'h' },
    ],
  },
};

describe('the Xen tree of a release', () => {
  test('with a checksum comes as a tarball first and from git after', () => {
    const source = xenSource(catalog, '4.2.0');
    expect(source.origins).toEqual([
      { type: 'tarball', url: 'https://files.invalid/4.2.0/xen-4.2.0.tar.gz' },
      { type: 'git', url: 'https://git.invalid/xen.git', commit: 'c2' },
    ]);
    expect(source).toMatchObject({ file: 'xen-4.2.0.tar.gz', top: 'xen-4.2.0', size: 7, pins: { sha256: 's256', commit: 'c2' } });
  });

  test('a SHA-512 proves a tarball as well', () => {
    expect(xenSource(catalog, '4.10.0').origins[0]).toMatchObject({ type: 'tarball' });
    expect(xenSource(catalog, '4.10.0').pins).toEqual({ sha512: 's512', commit: 'c10' });
  });

  test('without a checksum the tarball, which nothing could prove, is no origin', () => {
    expect(xenSource(catalog, '4.2.3').origins).toEqual([{ type: 'git', url: 'https://git.invalid/xen.git', commit: 'c3' }]);
  });

  test('of a version that is not there is an error that names the releases of its series', async () => {
    const error = await thrownBy(() => xenSource(catalog, '4.2.9'));
    expect(error).toBeInstanceOf(UsageError);
    expect(error).toMatchObject({ code: 'VERSION_UNKNOWN', expected: 'one of 4.2.0, 4.2.3', got: '4.2.9' });
  });

  test('of a series that is not there is an error that says how far the catalog reaches', async () => {
    const error = (await thrownBy(() => xenSource(catalog, '9.9.9'))) as UsageError;
    expect(error.expected).toContain('5 versions');
  });
});

describe('the Mini-OS tree of a release', () => {
  test('is pinned by its commit', () => {
    const source = miniOsSource(catalog, '4.7.3');
    expect(source?.pins).toEqual({ commit: '0123456789abcdef0123456789abcdef01234567' });
    expect(source?.origins).toEqual([{ type: 'git', url: 'https://git.invalid/mini-os.git', commit: source?.pins.commit }]);
  });

  test('whose commit is not known is a folder of the release tarball, proved by its checksum', () => {
    expect(miniOsSource(catalog, '4.10.0')).toEqual({
      name: 'mini-os',
      version: 'xen-4.10.0',
      file: 'xen-4.10.0.tar.gz',
      top: 'mini-os',
      pins: { sha512: 's512' },
      origins: [{ type: 'tarball', url: 'https://files.invalid/4.10.0/xen-4.10.0.tar.gz' }],
      within: { name: 'xen', version: '4.10.0', folder: 'extras/mini-os' },
    });
  });

  test.each(['4.11.0', '4.20.0'])(
    'of %s, whose commit is not known and whose tarball has no checksum or no Mini-OS, has no pin, and its tag as the place to look at',
    (version) => {
      expect(miniOsSource(catalog, version)).toMatchObject({
        version: `xen-RELEASE-${version}`,
        pins: {},
        origins: [{ type: 'git', url: 'https://git.invalid/mini-os.git', commit: `xen-RELEASE-${version}` }],
      });
      expect(Object.keys(miniOsSource(catalog, version)?.pins ?? { none: '' })).toEqual([]);
    },
  );

  test('is none before 4.6, when it was part of Xen', () => {
    expect(miniOsSource(catalog, '4.5.5')).toBeUndefined();
  });
});

describe('the packages beside Xen', () => {
  test('are those whose range has the release', () => {
    expect(externalSources(catalog, '4.2.3').map((source) => source.name)).toEqual(['zlib', 'old']);
    expect(externalSources(catalog, '4.3.0').map((source) => source.name)).toEqual(['zlib', 'lwip']);
  });

  test('have a git origin only where the repository is known too', () => {
    const [, lwip] = externalSources(catalog, '4.3.0');
    const [, old] = externalSources(catalog, '4.2.0');
    expect(lwip?.origins.filter(({ type }) => type === 'git')).toEqual([
      { type: 'git', url: 'https://git.invalid/lwip.git', commit: 'c9' },
    ]);
    expect(old?.origins.filter(({ type }) => type === 'git')).toEqual([]);
  });

  test("are asked for at packagers' mirrors after their own places, and in Debian's archive where that has them", () => {
    const [zlib] = externalSources(catalog, '4.2.0');
    expect(zlib?.origins).toEqual([
      { type: 'tarball', url: 'https://files.invalid/zlib-1.2.3.tar.gz' },
      { type: 'tarball', url: 'https://mirror.invalid/zlib-1.2.3.tar.gz/e2' },
    ]);
    const grub = externalSources(loadCatalog(), '4.17.5').find(({ name }) => name === 'grub');
    expect(grub?.origins.find(({ type }) => type === 'debian')).toMatchObject({ package: 'grub', file: 'grub_0.97.orig.tar.gz' });
  });

  test('have names on mirrors that their checksums give, as b2sum says', () => {
    const { externals, mirrors } = loadCatalog();
    for (const entry of externals) {
      const hash = execFileSync('b2sum', { input: entry.file }).toString().slice(0, 2);
      expect(mirrorUrl('https://m/{file-blake2b:2}/{file}?{md5}{sha1}{sha256}{sha512}', entry)).toBe(
        `https://m/${hash}/${entry.file}?${entry.md5}${entry.sha1}${entry.sha256}${entry.sha512}`,
      );
      for (const { url } of mirrors ?? []) expect(mirrorUrl(url, entry)).toContain('https://');
    }
    expect(mirrors?.length).toBeGreaterThan(2);
    expect(mirrorUrl('https://m/{md5}', { ...external, md5: undefined } as never)).toBeUndefined();
  });
});

describe('the GRUB 2 tarball', () => {
  test("is looked for in Debian's archive first, then at its own place", () => {
    const { source, warnings } = grub2Source(catalog, '2.12');
    expect(source.origins.map((origin) => origin.type)).toEqual(['debian', 'tarball']);
    expect(source.origins[1]).toEqual({ type: 'tarball', url: 'https://files.invalid/grub-2.12.tar.xz' });
    expect(warnings).toEqual(['old']);
  });

  test('of a release without warnings gives an empty list', () => {
    expect(grub2Source(catalog, '2.14').warnings).toEqual([]);
  });
});

test('known versions are listed oldest first, whatever the order of the file', () => {
  expect(knownVersions(catalog, 'pv-grub')).toEqual(['4.2.0', '4.2.3', '4.10.0', '4.11.0', '4.20.0']);
  expect(knownVersions(catalog, 'pvgrub2')).toEqual(['2.12', '2.14']);
});

describe('loadCatalog', () => {
  test('names the file that is missing', async () => {
    expect(await thrownBy(() => loadCatalog(tempFolder()))).toMatchObject({
      code: 'CATALOG_INVALID',
      message: expect.stringContaining('xen.json'),
    });
  });

  test('names the file that is not JSON', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'xen.json'), '{}');
    writeFileSync(join(folder, 'mini-os.json'), '{ "ranges": [');
    expect(await thrownBy(() => loadCatalog(folder))).toMatchObject({
      code: 'CATALOG_INVALID',
      message: expect.stringContaining('mini-os.json'),
    });
  });
});

test('what a release reads is what it and those before it have learnt', () => {
  expect(readsOf(catalog, '4.2.0')).toEqual({ kernelCompressions: ['none'], fileSystems: ['ext2'] });
  expect(readsOf(catalog, '4.10.0')).toEqual({ kernelCompressions: ['none', 'lz4', 'xz'], fileSystems: ['ext2'] });
});
