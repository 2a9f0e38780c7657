import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { loadCatalog } from '../../src/catalog/load.ts';
import { externalSources, grub2Source, knownVersions, miniOsSource, xenSource } from '../../src/catalog/resolve.ts';
import type { Release, SourceRef } from '../../src/catalog/types.ts';
import { compareVersions, inRange, isVersion, seriesOf } from '../../src/catalog/version.ts';

const catalog = loadCatalog();
const versions = catalog.xen.releases.map((release) => release.version);

const version = z.string().refine(isVersion);
const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));
const sha256 = hex(64);
const sha512 = hex(128);
const commit = hex(40);
const url = z.url({ protocol: /^https$/ });
const plainName = z.string().regex(/^[\w.+-]+$/);
const range = { from: version.nullish(), to: version.nullish() };

const debianFile = z.strictObject({ package: plainName, file: plainName, suites: z.array(plainName).min(1) });

const release = z.strictObject({
  version,
  date: z.iso.date(),
  commit: commit.optional(),
  sha256: sha256.optional(),
  sha512: sha512.optional(),
  size: z.int().positive().optional(),
  md5: hex(32).optional(),
  sha1: hex(40).optional(),
  blake2b: hex(128).optional(),
  seenIn: z.array(z.string().min(1)).min(1).optional(),
  debian: debianFile.optional(),
  warnings: z.array(z.string().min(1)).optional(),
});
const capabilities = z.array(z.strictObject({ ...range, names: z.array(plainName).min(1) })).min(1);
const schema = z.strictObject({
  xen: z.strictObject({
    what: z.string(),
    name: z.literal('xen'),
    git: url,
    tarball: url,
    key: z.string().regex(/^[0-9A-F]{40}$/),
    series: z.array(z.strictObject({ series: version, securityUntil: z.iso.date().nullable() })),
    releases: z.array(release).min(1),
  }),
  miniOs: z.strictObject({
    what: z.string(),
    name: z.literal('mini-os'),
    git: url,
    ranges: z.array(z.strictObject({ ...range, commit: commit.nullable(), tag: plainName.optional() })).min(1),
  }),
  externals: z.array(
    z.strictObject({
      name: plainName,
      version,
      file: plainName,
      top: plainName,
      size: z.int().positive(),
      sha256,
      sha512,
      md5: hex(32),
      sha1: hex(40),
      tarballs: z.array(url).min(1),
      debian: debianFile.optional(),
      commit: commit.optional(),
      git: url.optional(),
      ...range,
    }),
  ),
  mirrors: z
    .array(z.strictObject({ what: z.string(), url: z.string().regex(/^https:\/\/\S*\{(md5|sha1|sha256|sha512|file-blake2b:2)\}\S*$/) }))
    .min(3),
  reads: z.strictObject({ what: z.string(), kernelCompressions: capabilities, fileSystems: capabilities }),
  grub2: z.strictObject({ what: z.string(), name: z.literal('grub2'), tarball: url, releases: z.array(release).min(1) }),
  licences: z.strictObject({
    what: z.string(),
    sources: z.record(plainName, z.string().min(1)),
    images: z.strictObject({ 'pv-grub': z.string().min(1), pvgrub2: z.string().min(1) }),
  }),
});

/** Values that stand more than once. */
const doubles = (values: readonly string[]) => values.filter((value, i) => values.indexOf(value) !== i);

describe("the catalog's files", () => {
  test('have the form that the code relies on: hashes, dates and versions well formed, no unknown members', () => {
    expect(z.prettifyError(schema.safeParse(catalog).error ?? new z.ZodError([]))).toBe('');
  });

  test.each([
    ['xen', catalog.xen.releases],
    ['grub2', catalog.grub2.releases],
  ] as [string, Release[]][])('%s: no version, commit or checksum stands twice', (_name, releases) => {
    for (const key of ['version', 'commit', 'sha256', 'sha512', 'md5', 'sha1', 'blake2b'] as const)
      expect(doubles(releases.map((entry) => entry[key]).filter((value) => value !== undefined))).toEqual([]);
  });

  test.each([
    ['xen', catalog.xen.releases],
    ['grub2', catalog.grub2.releases],
  ] as [string, Release[]][])('%s: releases of one series come one after the other in time', (_name, releases) => {
    const bySeries = Map.groupBy(releases, (entry) => seriesOf(entry.version));
    for (const list of bySeries.values()) {
      const ordered = list.toSorted((a, b) => compareVersions(a.version, b.version));
      expect(ordered.map((entry) => entry.date)).toEqual(ordered.map((entry) => entry.date).toSorted());
    }
  });

  test('every source has a licence', () => {
    const names = ['xen', 'mini-os', 'grub2', ...catalog.externals.map(({ name }) => name)];
    expect(Object.keys(catalog.licences.sources).toSorted()).toEqual(names.toSorted());
  });

  test('releases stand in the order of their versions', () => {
    expect(versions).toEqual(knownVersions(catalog, 'pv-grub'));
  });

  test('the series are those of the releases, in order, and support ends later the later a series begins', () => {
    const { series } = catalog.xen;
    expect(series.map((entry) => entry.series)).toEqual([...new Set(versions.map(seriesOf))]);
    const ends = series.map((entry) => entry.securityUntil ?? '');
    expect(ends).toEqual(ends.toSorted());
  });

  test('every release of Xen has its commit, so that each can be had and proved at one place at least', () => {
    expect(catalog.xen.releases.filter((entry) => entry.commit === undefined)).toEqual([]);
    for (const text of versions) {
      const { pins, origins } = xenSource(catalog, text);
      expect(origins.some((origin) => (origin.type === 'git' ? pins.commit === origin.commit : (pins.sha256 ?? pins.sha512)))).toBe(true);
    }
  });

  test('checksums of a tarball stand with the packagers that publish them', () => {
    for (const { sha256, sha512, md5, sha1, blake2b, seenIn, version } of catalog.xen.releases)
      expect(seenIn !== undefined, version).toBe([sha256, sha512, md5, sha1, blake2b].some((value) => value !== undefined));
  });

  test('every release is proved by something', () => {
    const bare = [...catalog.xen.releases, ...catalog.grub2.releases].filter((entry) => !entry.commit && !entry.sha256 && !entry.sha512);
    expect(bare).toEqual([]);
  });

  test('packages have names that differ where their ranges meet', () => {
    for (const text of versions) expect(doubles(externalSources(catalog, text).map((source) => source.name))).toEqual([]);
  });

  test('a package with a git repository has the commit to take from it', () => {
    expect(catalog.externals.filter((entry) => entry.git !== undefined && entry.commit === undefined)).toEqual([]);
  });
});

describe('ranges', () => {
  const { kernelCompressions, fileSystems } = catalog.reads;
  const ranges = [...catalog.miniOs.ranges, ...catalog.externals, ...kernelCompressions, ...fileSystems];

  test('end after they begin', () => {
    for (const { from, to } of ranges) if (from && to) expect(compareVersions(from, to)).toBeLessThanOrEqual(0);
  });

  test('begin and end at releases that are in the catalog', () => {
    const ends = ranges.flatMap(({ from, to }) => [from, to]).filter((end) => end !== undefined && end !== null);
    expect(ends.filter((end) => !versions.includes(end))).toEqual([]);
  });

  test('of Mini-OS give each Xen release from 4.6.0 exactly one tree, and none before', () => {
    const trees = versions.map((text) => [text, catalog.miniOs.ranges.filter((entry) => inRange(text, entry)).length]);
    expect(trees).toEqual(versions.map((text) => [text, compareVersions(text, '4.6.0') >= 0 ? 1 : 0]));
  });

  test('of Mini-OS stand in order', () => {
    const starts = catalog.miniOs.ranges.map((entry) => entry.from ?? '');
    expect(starts).toEqual(starts.toSorted(compareVersions));
  });

  test('of Mini-OS without a commit name the tag instead', () => {
    expect(catalog.miniOs.ranges.filter((entry) => entry.commit === null && entry.tag === undefined)).toEqual([]);
  });
});

describe('every release resolves', () => {
  const complete = (source: SourceRef) => {
    expect(Object.keys(source.pins).length, `${source.name} ${source.version} has no pin`).toBeGreaterThan(0);
    expect(source.origins.length, `${source.name} ${source.version} has no origin`).toBeGreaterThan(0);
    expect(JSON.stringify(source.origins)).not.toContain('{version}');
  };

  test('of Xen, with Mini-OS and the packages', () => {
    for (const text of versions) {
      complete(xenSource(catalog, text));
      const miniOs = miniOsSource(catalog, text);
      // A tree whose commit is not known is given by hand.
      if (miniOs?.pins.commit !== undefined) complete(miniOs);
      const externals = externalSources(catalog, text);
      for (const source of externals) complete(source);
      expect(externals.map((source) => source.name)).toEqual(expect.arrayContaining(['newlib', 'zlib', 'pciutils', 'grub']));
    }
  });

  test('of GRUB 2', () => {
    for (const text of knownVersions(catalog, 'pvgrub2')) complete(grub2Source(catalog, text).source);
  });
});
