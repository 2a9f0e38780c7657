import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ensureBuildImage } from '../../src/engine/build-image.ts';
import { archiveImage } from '../../src/engine/image-archive.ts';
import { ownerLabels, thisOwner } from '../../src/engine/labels.ts';
import type { Cell } from '../../src/plan/plan.ts';
import { Store } from '../../src/sources/store.ts';
import { leftovers, makeBench } from '../support/run-stand-in.ts';
import { standInOnEngine } from '../support/stand-in-on-engine.ts';

const { engine, standIn } = await standInOnEngine();

/** Mount a small file system in memory; false where that is not allowed. */
function mountSmall(folder: string, size: string): boolean {
  mkdirSync(folder, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const noisy = (cell: Cell): Cell => ({
  ...cell,
  recipe: { ...cell.recipe, steps: [...cell.recipe.steps, { phase: 'noise', run: 'head -c 3000000 /dev/zero | od -v | head -c 3000000' }] },
});

test('a full output folder fails the cell with a clear error, and the results that were there stay', async ({ skip }) => {
  const bench = makeBench(engine, standIn.folder);
  if (!mountSmall(bench.output, '1500k')) {
    bench.remove();
    skip('mounting a small file system is not allowed here');
  }
  try {
    const [wide, narrow] = standIn.cells(['x86_64', 'x86_32']) as [Cell, Cell];
    expect((await bench.run([wide])).exit).toBe(0);
    const sums = readFileSync(`${bench.output}/SHA256SUMS`, 'utf8');
    const result = await bench.run([noisy(narrow)]);
    expect(result.failed.map(({ error }) => error)).toEqual([
      expect.objectContaining({ code: 'OUTPUT_DISK_FULL', hint: expect.stringContaining('--out') }),
    ]);
    expect(readdirSync(bench.output).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(readFileSync(`${bench.output}/SHA256SUMS`, 'utf8')).toBe(sums);
    expect(await leftovers(engine)).toEqual({ containers: 0, volumes: 0 });
  } finally {
    execFileSync('umount', [bench.output]);
    bench.remove();
  }
});

test('a full store fails the cell with a clear error, and nothing half-written stays in it', async ({ skip }) => {
  const bench = makeBench(engine, standIn.folder);
  if (!mountSmall(bench.store, '8k')) {
    bench.remove();
    skip('mounting a small file system is not allowed here');
  }
  try {
    const result = await bench.run(standIn.cells());
    expect(result.failed.map(({ error }) => error)).toEqual([
      expect.objectContaining({ code: 'STORE_DISK_FULL', hint: expect.stringContaining('--store') }),
    ]);
    expect(result.exit).toBe(3);
    expect(readdirSync(`${bench.store}/incoming`)).toEqual([]);
  } finally {
    execFileSync('umount', [bench.store]);
    bench.remove();
  }
});

test.each(['30m', '600m'])(
  'a store of %s is too full for the build image: told, and nothing of it stays',
  async (size) => {
    const bench = makeBench(engine, standIn.folder);
    if (!mountSmall(bench.store, size)) {
      bench.remove();
      return;
    }
    try {
      const labels = ownerLabels(thisOwner('disk-full'));
      const image = await ensureBuildImage(engine, { settings: bench.settings({}), labels, say: () => {} });
      await expect(archiveImage(engine, image, new Store(bench.store), labels)).rejects.toMatchObject({
        code: 'STORE_DISK_FULL',
        hint: expect.stringContaining('--store'),
      });
      expect(readdirSync(`${bench.store}/incoming`)).toEqual([]);
      expect(await new Store(bench.store).list()).toEqual([]);
      expect(await leftovers(engine)).toEqual({ containers: 0, volumes: 0 });
    } finally {
      execFileSync('umount', [bench.store]);
      bench.remove();
    }
  },
  60_000,
);
