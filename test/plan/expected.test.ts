import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expectedSeconds, longestFirst, parseShard, shardOf } from '../../src/plan/expected.ts';
import { planMatrix } from '../../src/plan/plan.ts';
import { realPlanData } from '../support/plan-data.ts';
import { thrownBy } from '../support/temp-folder.ts';

const data = realPlanData();
const versions = data.catalog.xen.releases.map(({ version }) => version);
const cells = planMatrix({ loaders: { 'pv-grub': { versions }, pvgrub2: { versions: ['2.12', '2.14'] } }, include: [], exclude: [] }, data);
const ids = (list: readonly { id: string }[]) => list.map(({ id }) => id);
const some = fc.shuffledSubarray(cells, { minLength: 1 });

describe('the parts of a matrix', () => {
  test('are disjoint, are together all of it, and keep its order', () => {
    fc.assert(
      fc.property(some, fc.integer({ min: 1, max: 12 }), (list, count) => {
        const parts = Array.from({ length: count }, (_, i) => shardOf(list, { index: i + 1, count }));
        expect(ids(parts.flat()).sort()).toEqual(ids(list).sort());
        for (const part of parts) expect(ids(part)).toEqual(ids(list).filter((id) => ids(part).includes(id)));
      }),
      { numRuns: 30 },
    );
  });

  test('are the same whatever the order of the list', () => {
    fc.assert(
      fc.property(some, fc.integer({ min: 1, max: 5 }), (list, count) => {
        for (let index = 1; index <= count; index++)
          expect(ids(shardOf(list, { index, count })).sort()).toEqual(ids(shardOf(list.toReversed(), { index, count })).sort());
      }),
      { numRuns: 20 },
    );
  });

  test('differ in time by no more than the longest cell', () => {
    fc.assert(
      fc.property(some, fc.integer({ min: 1, max: 8 }), (list, count) => {
        const loads = Array.from({ length: count }, (_, i) =>
          shardOf(list, { index: i + 1, count }).reduce((sum, cell) => sum + expectedSeconds(cell), 0),
        );
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(Math.max(...list.map(expectedSeconds)));
      }),
      { numRuns: 30 },
    );
  });

  test.each(['0/2', '3/2', '1', 'a/b', '1/0', '1/2/3', ''])('%j is none', async (text) => {
    expect(await thrownBy(() => parseShard(text))).toMatchObject({ code: 'OPTION_INVALID', expected: expect.stringContaining('2/5') });
  });
});

test('the longest go first, as an earlier run measured them, else as expected', () => {
  const [a, b, c] = cells
    .filter(({ version }) => ['4.4.4', '4.17.5', '2.14'].includes(version) && true)
    .filter(({ arch }) => arch === 'x86_64');
  if (!a || !b || !c) throw new Error('no cells');
  expect(ids(longestFirst([c, b, a], new Map()))).toEqual(ids([a, b, c]));
  expect(ids(longestFirst([a, b, c], new Map([[c.id, 1000]])))).toEqual(ids([c, a, b]));
});
