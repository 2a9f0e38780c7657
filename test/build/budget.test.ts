import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Budget } from '../../src/build/budget.ts';

test('a cell alone gets all cores', () => {
  expect(new Budget(8, 4).take(0)).toBe(8);
});

test('cells that wait get an equal share, the last what is left', () => {
  const budget = new Budget(7, 3);
  expect([budget.take(5), budget.take(4), budget.take(3)]).toEqual([2, 2, 3]);
});

test('no more cells run side by side than there are cores, and at least one does', () => {
  expect([new Budget(2, 5).slots, new Budget(8, 3).slots, new Budget(4, 0).slots]).toEqual([2, 3, 1]);
});

test('no run of cells is ever given more cores than there are, nor a cell none, and all come back', () => {
  const run = fc.record({
    cores: fc.integer({ min: 1, max: 16 }),
    side: fc.integer({ min: 1, max: 16 }),
    cells: fc.integer({ min: 1, max: 20 }),
    ends: fc.infiniteStream(fc.nat()),
  });
  fc.assert(
    fc.property(run, ({ cores, side, cells, ends }) => {
      const budget = new Budget(cores, side);
      const running: number[] = [];
      for (let waiting = cells; waiting > 0; ) {
        if (running.length < budget.slots) {
          running.push(budget.take(--waiting));
          const used = running.reduce((sum, share) => sum + share, 0);
          expect(Math.min(...running)).toBeGreaterThanOrEqual(1);
          expect(used).toBeLessThanOrEqual(cores);
        } else {
          const [share] = running.splice(ends.next().value % running.length, 1);
          budget.give(share as number);
        }
      }
      for (const share of running) budget.give(share);
      expect(budget.take(0)).toBe(cores);
    }),
  );
});
