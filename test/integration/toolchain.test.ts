import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Metadata } from '../../src/build/metadata.ts';
import type { Cell } from '../../src/plan/plan.ts';
import type { Edit } from '../../src/recipes/types.ts';
import { eachBench, standInOnEngine } from '../support/stand-in-on-engine.ts';

const { engine, standIn } = await standInOnEngine();
const bench = eachBench(engine, standIn);

/** The stand-in's cell as another release would be: with a file of its tree changed. */
function release(file?: string, find = '', replace = ''): Cell {
  const cell = standIn.cells()[0] as Cell;
  if (file === undefined) return cell;
  const edit: Edit = {
    id: 'release',
    what: 'another release',
    why: 'a test',
    source: 'xen',
    substitutions: [{ file, find, replace, count: 1 }],
  };
  return { ...cell, recipe: { ...cell.recipe, edits: [...cell.recipe.edits, edit] } };
}

async function build(cell: Cell, force = false, cells = 2): Promise<{ metadata: Metadata; log: string; debug: Buffer }> {
  const result = await bench.run([cell], { force, cells });
  expect(result.failed).toEqual([]);
  const place = join(bench.output, 'pv-grub/4.2.5/x86_64');
  return {
    metadata: result.done[0] as Metadata,
    log: readFileSync(join(place, 'build.log'), 'utf8'),
    debug: readFileSync(join(place, 'pv-grub-x86_64.debug')),
  };
}
const COMPILED = /-c \.\.\/newlib-1\.16\.0\/newlib\.c/;
const bench_entries = () => readdirSync(join(bench.cache, 'toolchain')).flatMap((key) => readdirSync(join(bench.cache, 'toolchain', key)));

test('a release that reads the same uses the toolchain of another, and comes out as if it had made its own', async () => {
  const first = await build(release());
  expect(first.log).toMatch(COMPILED);
  const other = release('extras/mini-os/include/netfront.h', '#define NETFRONT 1', '#define NETFRONT 2');
  // With another number of jobs, too.
  const shared = await build(other, false, 1);
  expect(shared.log).not.toMatch(COMPILED);
  expect(shared.metadata.build.toolchain).toEqual(first.metadata.build.toolchain);
  const alone = await build(other, true);
  expect(alone.log).toMatch(COMPILED);
  expect(alone.metadata.build.toolchain).toBeUndefined();
  expect(shared.metadata.image).toEqual(alone.metadata.image);
  expect(shared.debug.equals(alone.debug)).toBe(true);
  // --no-cache leaves no trace in the cache either.
  expect(bench_entries()).toHaveLength(2);
});

test.each([
  ['a header', 'extras/mini-os/include/lock.h', '#define LOCK_WORDS 1', '#define LOCK_WORDS 2'],
  ['a patch', 'stubdom/newlib.patch', 'return LOCK_WORDS;', 'return LOCK_WORDS + 1;'],
  ['a flag', 'stubdom/Makefile', '-ffreestanding -fno', '-ffreestanding -O1 -fno'],
])('a release of which %s that was read is another makes its own', async (_what, file, find, replace) => {
  const first = await build(release());
  const other = release(file, find, replace);
  const own = await build(other);
  expect(own.log).toMatch(COMPILED);
  expect(own.metadata.image.sha256).not.toBe(first.metadata.image.sha256);
  expect(own.metadata.image).toEqual((await build(other, true)).metadata.image);
});

test('a damaged archive is thrown away, and the toolchain made again', async () => {
  const first = await build(release());
  for (const key of readdirSync(join(bench.cache, 'toolchain')))
    for (const name of readdirSync(join(bench.cache, 'toolchain', key)).filter((name) => name.endsWith('.tar.gz')))
      writeFileSync(join(bench.cache, 'toolchain', key, name), 'no archive');
  const again = await build(release('extras/mini-os/include/netfront.h', '#define NETFRONT 1', '#define NETFRONT 2'));
  expect(again.log).toMatch(COMPILED);
  expect(again.metadata.image.sha256).toBe(first.metadata.image.sha256);
});

test('a cache that cannot be written is told, and fails nothing', async () => {
  writeFileSync(bench.cache, 'a file where the folder should be');
  const { metadata } = await build(release());
  expect(metadata.build.toolchain).toBeUndefined();
  const warnings = bench.events.filter((event) => event.type === 'warning').map((event) => event.text);
  expect(warnings.join('\n')).toMatch(/toolchain/);
});
