import { describe, expect, test } from 'vitest';
import { inputHash } from '../../src/plan/input-hash.ts';
import { planMatrix } from '../../src/plan/plan.ts';
import type { Recipe } from '../../src/recipes/types.ts';
import { realPlanData } from '../support/plan-data.ts';

const manifest = 'm'.repeat(64);
const recipe: Recipe = {
  sources: [
    {
      name: 'xen',
      version: '4.2.5',
      file: 'xen.tar.gz',
      top: 'xen',
      pins: { sha256: 'a', commit: 'b' },
      origins: [{ type: 'dir', path: 'x' }],
    },
    { name: 'grub', version: '0.97', file: 'grub.tar.gz', top: 'grub', pins: { sha512: 'c' }, origins: [] },
  ],
  placements: [{ source: 'xen', unpack: '.' }],
  edits: [{ id: 'e', what: 'what', why: 'why', source: 'xen', substitutions: [{ file: 'f', find: 'x', replace: 'y', count: 1 }] }],
  env: { LC_ALL: 'C', TZ: 'UTC' },
  files: { 'grub.cfg': 'menu' },
  steps: [{ phase: 'make', run: 'make all' }],
  outputs: [{ file: 'image', role: 'image' }],
  reads: { kernelCompressions: ['gzip'], fileSystems: ['ext2'] },
  warnings: ['old'],
};
const hash = inputHash(recipe, manifest);

/** The hash after a change to a copy of the recipe. */
function changed(change: (copy: Recipe) => void): string {
  const copy = structuredClone(recipe);
  change(copy);
  return inputHash(copy, manifest);
}

/** An object with its keys the other way round, all the way down. */
function reversed<T>(value: T): T {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(reversed) as T;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  ) as T;
}

test('the input hash is 64 lower-case hex digits', () => {
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
});

describe('the input hash changes with', () => {
  const changes: Record<string, (copy: Recipe) => void> = {
    "a source's pin": (copy) => Object.assign(copy.sources[0]?.pins ?? {}, { sha256: 'z' }),
    "a source's version": (copy) => Object.assign(copy.sources[1] ?? {}, { version: '0.98' }),
    'a source more': (copy) => copy.sources.push({ name: 'zlib', version: '1', file: 'f', top: 't', pins: {}, origins: [] }),
    'where a source goes': (copy) => Object.assign(copy.placements[0] ?? {}, { unpack: 'elsewhere' }),
    'what an edit puts': (copy) => Object.assign(copy.edits[0]?.substitutions?.[0] ?? {}, { replace: 'z' }),
    'an edit less': (copy) => copy.edits.pop(),
    'the environment': (copy) => Object.assign(copy.env, { TZ: 'CET' }),
    'a file beside the tree': (copy) => Object.assign(copy.files, { 'grub.cfg': 'other' }),
    'a command': (copy) => Object.assign(copy.steps[0] ?? {}, { run: 'make most' }),
    'the order of commands': (copy) => copy.steps.unshift({ phase: 'first', run: 'true' }),
    'an output': (copy) => copy.outputs.push({ file: 'image.debug', role: 'debug' }),
  };
  test.each(Object.keys(changes))('%s', (name) => {
    expect(changed(changes[name] as (copy: Recipe) => void)).not.toBe(hash);
  });

  test('the manifest of the build image', () => {
    expect(inputHash(recipe, 'n'.repeat(64))).not.toBe(hash);
  });

  test('the bytes of a source that nothing proves', () => {
    const first = inputHash(recipe, manifest, { grub: 'one' });
    expect(first).not.toBe(hash);
    expect(inputHash(recipe, manifest, { grub: 'two' })).not.toBe(first);
  });
});

describe('the input hash stays the same', () => {
  test('whatever the order of keys', () => {
    expect(inputHash(reversed(recipe), manifest)).toBe(hash);
  });

  test('wherever a source comes from: its pins prove that the bytes are the same', () => {
    expect(changed((copy) => Object.assign(copy.sources[0] ?? {}, { origins: [], size: 5 }))).toBe(hash);
  });

  test('when only words for people change', () => {
    const words = (copy: Recipe) => {
      copy.warnings.push('more');
      copy.reads.fileSystems.push('ext3');
      Object.assign(copy.edits[0] ?? {}, { why: 'better said' });
      Object.assign(copy.steps[0] ?? {}, { phase: 'compile' });
    };
    expect(changed(words)).toBe(hash);
  });

  test('when another source than the ones of the cell is unpinned', () => {
    expect(inputHash(recipe, manifest, { lwip: 'one' })).toBe(hash);
  });
});

test('no two cells of the whole catalog have the same input hash', () => {
  const data = realPlanData();
  const versions = (releases: { version: string }[]) => ({ versions: releases.map((release) => release.version) });
  const loaders = { 'pv-grub': versions(data.catalog.xen.releases), pvgrub2: versions(data.catalog.grub2.releases) };
  const cells = planMatrix({ loaders, include: [], exclude: [] }, data);
  expect(cells.length).toBeGreaterThan(200);
  expect(new Set(cells.map((cell) => inputHash(cell.recipe, manifest))).size).toBe(cells.length);
});
