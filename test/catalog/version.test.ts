import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareVersions,
  inRange,
  isVersion,
  meantVersions,
  newestOfSeries,
  seriesOf,
  VERSION_PATTERN,
} from '../../src/catalog/version.ts';

const version = fc.array(fc.nat({ max: 30 }), { minLength: 2, maxLength: 4 }).map((parts) => parts.join('.'));

describe('isVersion', () => {
  test.each(['4.1.4', '4.1.6.1', '2.14', '10.0'])('takes %s', (text) => {
    expect(isVersion(text)).toBe(true);
  });

  test.each(['', '4', '4.', '.4', '4..1', 'v4.1', '4.1-rc1', '4.1 ', '4.x', '../4.1', '4.1\n'])('refuses %j', (text) => {
    expect(isVersion(text)).toBe(false);
  });
});

describe('compareVersions', () => {
  test('orders by number, not by text', () => {
    const sorted = ['4.10.0', '4.9.4', '4.1.6.1', '4.1.6', '4.1.0', '4.2.0', '4.1'].sort(compareVersions);
    expect(sorted).toEqual(['4.1', '4.1.0', '4.1.6', '4.1.6.1', '4.2.0', '4.9.4', '4.10.0']);
  });

  test('is an order: reflexive, antisymmetric, transitive', () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(compareVersions(a, a)).toBe(0);
        expect(Math.sign(compareVersions(a, b))).toBe(-Math.sign(compareVersions(b, a)) + 0);
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
        if (compareVersions(a, b) === 0) expect(a).toBe(b);
      }),
    );
  });
});

describe('inRange', () => {
  test('both ends are inside', () => {
    const range = { from: '4.2.0', to: '4.4.4' };
    expect(['4.1.6.1', '4.2.0', '4.3.4', '4.4.4', '4.5.0'].map((text) => inRange(text, range))).toEqual([false, true, true, true, false]);
  });

  test('an end that is missing or null is open', () => {
    expect(inRange('4.0.0', {})).toBe(true);
    expect(inRange('4.0.0', { from: null, to: '4.0.0' })).toBe(true);
    expect(inRange('9.9.9', { from: '4.22.0', to: null })).toBe(true);
    expect(inRange('4.21.9', { from: '4.22.0' })).toBe(false);
  });
});

describe('series', () => {
  const known = ['4.1.6', '4.1.6.1', '4.10.0', '4.9.4', '4.10.4'];

  test('are the first two numbers', () => {
    expect(['4.1.6.1', '4.17.5', '2.14'].map(seriesOf)).toEqual(['4.1', '4.17', '2.14']);
  });

  test('have a newest version each, by number, whatever the order', () => {
    expect(newestOfSeries(known)).toEqual(['4.1.6.1', '4.10.4', '4.9.4']);
    fc.assert(
      fc.property(fc.uniqueArray(version), (versions) => {
        const newest = newestOfSeries(versions);
        expect(newest.map(seriesOf)).toEqual([...new Set(versions.map(seriesOf))]);
        for (const text of versions)
          expect(compareVersions(text, newest.find((entry) => seriesOf(entry) === seriesOf(text)) as string)).toBeLessThanOrEqual(0);
      }),
    );
  });

  test.each([
    ['4.99.9', ['4.99.9']],
    ['*', ['4.1.6', '4.1.6.1', '4.9.4', '4.10.0', '4.10.4']],
    ['4.*', ['4.1.6', '4.1.6.1', '4.9.4', '4.10.0', '4.10.4']],
    ['4.1.*', ['4.1.6', '4.1.6.1']],
    ['4.10.latest', ['4.10.4']],
    ['*.latest', ['4.1.6.1', '4.9.4', '4.10.4']],
    ['latest', ['4.10.4']],
    ['4.2.*', []],
    ['4.2.latest', []],
  ])('%s in a configuration means %j', (entry, expected) => {
    expect(meantVersions(entry, known)).toEqual(expected);
  });

  test('of GRUB are versions themselves', () => {
    for (const entry of ['2.12.*', '2.12.latest', '2.12']) expect(meantVersions(entry, ['2.12', '2.14'])).toEqual(['2.12']);
  });

  test.each(['4.1.6', '4', '4.1', '**', '*.4', 'latest.4', '4.1.latest.0', 'Latest', ''])('%j is no pattern', (text) => {
    expect(VERSION_PATTERN.test(text)).toBe(false);
  });
});
