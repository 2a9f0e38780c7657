import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatBytes, formatDuration, parseBytes, parseDuration } from '../../src/config/units.ts';

test('sizes are read with powers of 1024, in either case', () => {
  expect([4096, '4096', '1k', '512m', '4G', '1.5g'].map(parseBytes)).toEqual([4096, 4096, 1024, 512 * 2 ** 20, 4 * 2 ** 30, 1.5 * 2 ** 30]);
});

test('times are read as milliseconds', () => {
  expect(['90s', '45m', '2h', '0.5s'].map(parseDuration)).toEqual([90_000, 2_700_000, 7_200_000, 500]);
});

test('sizes are shown with powers of 1000 and three digits', () => {
  expect([0, 999, 1000, 1_500_000, 42_000_000, 421_900_000, 7e12].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.00 kB',
    '1.50 MB',
    '42.0 MB',
    '422 MB',
    '7.00 TB',
  ]);
});

test('a size is shown with at most three digits and off by no more than they allow', () => {
  const factor = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9e14 }), (bytes) => {
      const [digits, unit] = formatBytes(bytes).split(' ') as [string, keyof typeof factor];
      expect(digits.replace('.', '').length).toBeLessThanOrEqual(3);
      expect(Math.abs(Number(digits) * factor[unit] - bytes)).toBeLessThanOrEqual(bytes * 0.0051);
    }),
    { examples: [[999_999], [9_999], [99_960], [999_999_999]] },
  );
});

test('times are shown as people say them', () => {
  expect([400, 9_940, 42_000, 59_400, 59_600, 185_000, 5_400_000].map(formatDuration)).toEqual([
    '0.4 s',
    '9.9 s',
    '42 s',
    '59 s',
    '1 min 00 s',
    '3 min 05 s',
    '90 min 00 s',
  ]);
});
