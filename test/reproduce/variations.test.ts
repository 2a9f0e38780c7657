import { expect, test } from 'vitest';
import { USUAL } from '../../src/build/surroundings.ts';
import { chosenVariations, usually, VARIATIONS, varied } from '../../src/reproduce/variations.ts';

const names = (text?: string) => chosenVariations(text).map(({ name }) => name);
const all = VARIATIONS.map(({ name }) => name);

test('all of them, those named, or all but those', () => {
  expect(names()).toEqual(all);
  expect(names('path, clock')).toEqual(['clock', 'path']);
  expect(names('!clock,!path')).toEqual(all.filter((name) => name !== 'clock' && name !== 'path'));
});

test('a name that is none is an error that tells the names', () => {
  expect(() => chosenVariations('clock,moon')).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', expected: all.join(', ') }));
});

test('each changes something, and several lie on top of each other', () => {
  for (const variation of VARIATIONS) expect(varied(usually(2), [variation]), variation.name).not.toEqual(usually(2));
  const { surroundings, jobs, elsewhere } = varied(usually(2), VARIATIONS);
  expect([jobs, elsewhere]).toEqual([4, true]);
  expect(surroundings.env).toMatchObject({ TZ: expect.any(String), LANG: 'fr_FR.UTF-8', FAKETIME: expect.stringMatching(/^\+\d+$/) });
  for (const name of ['host', 'place', 'umask', 'reversed', 'user'] as const) expect(surroundings[name], name).not.toBe(USUAL[name]);
});

test('without any, a cell is built as its image was', () => {
  expect(varied(usually(3), [])).toEqual({ surroundings: USUAL, jobs: 3, elsewhere: false });
});
