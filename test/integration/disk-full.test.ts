import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ensureBuildImage } from '../../src/engine/build-image.ts';
import { archiveImage } from '../../src/engine/image-archive.ts';
import { ownerLabels, thisOwner } from '../../src/engine/labels.ts';
import type { Cell } from '../../src/plan/plan.ts';
import { Store } from '../../src/sources/store.ts';
import { leftovers, makeBench } from '../support/run-stand-in.ts';
import { mountSmall } from '../support/small-disk.ts';
import { standInOnEngine } from '../support/stand-in-on-engine.ts';

const { engine, standIn } = await standInOnEngine();

const noisy = (cell: Cell): Cell => ({
  ...cell,
  recipe: { ...cell.recipe, steps: [...cell.recipe.steps, { phase: 'noise', run: 'head -c 3000000 /dev/zero | od -v | head -c 3000000' }] },
});

test('a full output folder fails the cell with a clear error, and the results that were there stay', async ({ skip }) => {
  const bench = makeBench(engine, standIn.folder);
  const unmount = mountSmall(bench.output, '1500k');
  if (!unmount) {
    bench.remove();
    return skip('mounting a small file system is not allowed here');
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
    unmount();
    bench.remove();
  }
});

test('a full store fails the cell with a clear error, and nothing half-written stays in it', async ({ skip }) => {
  const bench = makeBench(engine, standIn.folder);
  const unmount = mountSmall(bench.store, '8k');
  if (!unmount) {
    bench.remove();
    return skip('mounting a small file system is not allowed here');
  }
  try {
    const result = await bench.run(standIn.cells());
    expect(result.failed.map(({ error }) => error)).toEqual([
      expect.objectContaining({ code: 'STORE_DISK_FULL', hint: expect.stringContaining('--store') }),
    ]);
    expect(result.exit).toBe(3);
    expect(readdirSync(`${bench.store}/incoming`)).toEqual([]);
  } finally {
    unmount();
    bench.remove();
  }
});

test.each(['30m', '600m'])(
  'a store of %s is too full for the build image: told, and nothing of it stays',
  async (size) => {
    const bench = makeBench(engine, standIn.folder);
    const unmount = mountSmall(bench.store, size);
    if (!unmount) {
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
      unmount();
      bench.remove();
    }
  },
  60_000,
);
