import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ForgeError, UsageError } from '../../src/errors.ts';
import { select } from '../../src/plan/selector.ts';
import { thrownBy } from '../support/temp-folder.ts';

const ids = [
  'pv-grub-4.1.4-x86_64',
  'pv-grub-4.1.4-x86_32',
  'pv-grub-4.10.4-x86_64',
  'pv-grub-4.17.5-x86_64',
  'pv-grub-4.17.5-x86_32',
  'pvgrub2-2.12-x86_64',
  'pvgrub2-2.14-x86_64',
  'pvgrub2-2.14-x86_32_pvh',
];

describe('a selector', () => {
  test.each([
    ['pv-grub-4.1.*-x86_64', ['pv-grub-4.1.4-x86_64']],
    ['*-x86_32', ['pv-grub-4.1.4-x86_32', 'pv-grub-4.17.5-x86_32']],
    ['pvgrub2-*', ids.slice(5)],
    ['pv-grub-4.1?.*-x86_64', ['pv-grub-4.10.4-x86_64', 'pv-grub-4.17.5-x86_64']],
    ['pv-grub-4.1[70].*-x86_64', ['pv-grub-4.10.4-x86_64', 'pv-grub-4.17.5-x86_64']],
    ['pv-grub-4.1[!7].*-x86_64', ['pv-grub-4.10.4-x86_64']],
    ['pv-grub-4.1[0-6].*', ['pv-grub-4.10.4-x86_64']],
    ['pvgrub2-2.{12,14}-x86_64', ['pvgrub2-2.12-x86_64', 'pvgrub2-2.14-x86_64']],
    ['*', ids],
  ])('%s is a glob over whole ids', (selector, expected) => {
    expect(select(ids, [selector])).toEqual(expected);
  });

  test('without a wildcard names an id, a loader, or a loader and version', () => {
    expect(select(ids, ['pv-grub-4.17.5-x86_32'])).toEqual(['pv-grub-4.17.5-x86_32']);
    expect(select(ids, ['pvgrub2'])).toEqual(ids.slice(5));
    expect(select(ids, ['pv-grub-4.17.5'])).toEqual(['pv-grub-4.17.5-x86_64', 'pv-grub-4.17.5-x86_32']);
  });

  test('without a wildcard also names a series, where no version is called so', () => {
    expect(select(ids, ['pv-grub-4.1'])).toEqual(ids.slice(0, 2));
    expect(select(ids, ['pv-grub-4.17-x86_32'])).toEqual([ids[4]]);
    expect(select(ids, ['pv-grub-4.17', '!pv-grub-4.17-x86_32'])).toEqual([ids[3]]);
    expect(select(ids, ['*', '!pv-grub-4.17'])).toEqual([...ids.slice(0, 3), ...ids.slice(5)]);
    expect(select([...ids, 'pv-grub-4.1-x86_64'], ['pv-grub-4.1'])).toEqual(['pv-grub-4.1-x86_64']);
  });

  test('with latest names the newest version, of all or of a series, by number', () => {
    const more = [...ids, 'pv-grub-4.17.10-x86_64', 'pv-grub-4.9.4-x86_64'];
    expect(select(more, ['pv-grub-latest'])).toEqual(['pv-grub-4.17.10-x86_64']);
    expect(select(more, ['pv-grub-4.17.latest-x86_64'])).toEqual(['pv-grub-4.17.10-x86_64']);
    expect(select(more, ['pvgrub2-latest'])).toEqual(ids.slice(6));
    expect(select(more, ['pv-grub-*.latest-x86_64'])).toEqual([ids[0], ids[2], ...more.slice(-2)]);
    expect(select(more, ['pv-grub', '!*.latest-*'])).toEqual(['pv-grub-4.17.5-x86_64', 'pv-grub-4.17.5-x86_32']);
    expect(codeOf(() => select(more, ['pv-grub-4.2.latest']))).toBe('SELECTOR_NO_MATCH');
    // A glob that does not say it fits no such name.
    expect(select(more, ['pv-grub-4.17.[!1]*'])).toEqual(['pv-grub-4.17.5-x86_64', 'pv-grub-4.17.5-x86_32']);
    expect(codeOf(() => select(more, ['pv-grub-[!4]*']))).toBe('SELECTOR_NO_MATCH');
  });

  test('that names x86_32 does not take x86_32_pvh with it', () => {
    expect(codeOf(() => select(ids, ['pvgrub2-2.14-x86_32']))).toBe('SELECTOR_NO_MATCH');
  });

  test('takes a dot for a dot: 4.1.4 is not 4x1.4', () => {
    expect(codeOf(() => select(['pv-grub-4x1.4-x86_64'], ['pv-grub-4.1.4-*']))).toBe('SELECTOR_NO_MATCH');
  });
});

function codeOf(call: () => unknown): string | undefined {
  try {
    call();
  } catch (error) {
    return error instanceof ForgeError ? error.code : String(error);
  }
  return undefined;
}

describe('several selectors', () => {
  test('are joined, in the order of the ids, each id once', () => {
    expect(select(ids, ['pvgrub2-2.12', 'pv-grub-4.1.4', '*-4.1.4-x86_64'])).toEqual([
      'pv-grub-4.1.4-x86_64',
      'pv-grub-4.1.4-x86_32',
      'pvgrub2-2.12-x86_64',
    ]);
  });

  test('with ! leave out again, wherever the ! stands', () => {
    expect(select(ids, ['!*-x86_32', 'pv-grub-4.17.5'])).toEqual(['pv-grub-4.17.5-x86_64']);
  });

  test('that only leave out choose all others', () => {
    expect(select(ids, ['!pv-grub', '!*_pvh'])).toEqual(['pvgrub2-2.12-x86_64', 'pvgrub2-2.14-x86_64']);
  });

  test('none at all choose everything', () => {
    expect(select(ids, [])).toEqual(ids);
  });

  test('one that leaves out may match nothing', () => {
    expect(select(ids, ['!pv-grub-9.9.9'])).toEqual(ids);
  });
});

describe('a wrong selector', () => {
  test('that matches nothing is an error that names it and the nearest ids', async () => {
    const error = await thrownBy(() => select(ids, ['pv-grub-4.17.5-x86_64', 'pvgrub2-2.13-*']));
    expect(error).toBeInstanceOf(UsageError);
    expect(error).toMatchObject({ code: 'SELECTOR_NO_MATCH', message: expect.stringContaining('"pvgrub2-2.13-*"') });
    expect((error as UsageError).hint).toContain('pvgrub2-2.12-x86_64');
  });

  test('over no ids at all says that there are no cells', async () => {
    expect(await thrownBy(() => select([], ['pvgrub2']))).toMatchObject({ hint: expect.stringContaining('no cells') });
  });

  test.each(['', '!', 'pv-[', '[]', '{a,b', 'a}', '[z-a]', '[!]'])('%j is refused with what is wrong about it', async (text) => {
    expect(await thrownBy(() => select(ids, [text]))).toMatchObject({
      code: 'SELECTOR_INVALID',
      message: expect.stringContaining(`"${text}"`),
    });
  });

  test('of whatever text ends in a choice of ids or in a deliberate error', () => {
    const piece = fc.oneof(
      fc.constantFrom('*', '?', '[', ']', '{', '}', ',', '!', '-', '\\', '^', '.', 'x86_64', 'pv-grub'),
      fc.string({ maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        try {
          for (const id of select(ids, [pieces.join('')])) expect(ids).toContain(id);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('with very many stars is answered at once', () => {
    const begun = performance.now();
    expect(codeOf(() => select(ids, [`${'*'.repeat(60)}?${'*'.repeat(60)}none`]))).toBe('SELECTOR_NO_MATCH');
    expect(performance.now() - begun).toBeLessThan(1000);
  });
});

test('a selector made of an id by putting stars into it finds that id', () => {
  const starred = fc.tuple(fc.constantFrom(...ids), fc.array(fc.nat({ max: 24 }), { maxLength: 3 }));
  fc.assert(
    fc.property(starred, ([id, cuts]) => {
      const glob = cuts.reduce((text, at) => `${text.slice(0, at)}*${text.slice(at + 1)}`, id);
      expect(select(ids, [glob])).toContain(id);
    }),
  );
});
