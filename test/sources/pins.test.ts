import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Pins } from '../../src/catalog/types.ts';
import { type Identity, mismatch, provedBy } from '../../src/sources/pins.ts';

const hex = (length: number) =>
  fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length }).map((digits) => digits.join(''));
const identity = fc.record<Identity>({ sha256: hex(64), sha512: hex(128), commit: fc.option(hex(40), { nil: undefined }) });

/** Pins of which each is absent, right or wrong for an identity. */
const cases = identity.chain((is) =>
  fc
    .record({
      sha256: fc.constantFrom('absent', 'right', 'wrong'),
      sha512: fc.constantFrom('absent', 'right', 'wrong'),
      commit: fc.constantFrom('absent', 'right', 'wrong'),
    })
    .map((kinds) => {
      const pins: Pins = {};
      for (const name of ['sha256', 'sha512', 'commit'] as const) {
        const right = is[name] ?? 'f'.repeat(40);
        if (kinds[name] !== 'absent') pins[name] = kinds[name] === 'right' ? right : right.replace(/^./, (c) => (c === '0' ? '1' : '0'));
      }
      return { is, pins, kinds };
    }),
);

describe('provedBy', () => {
  test('takes for a tree from git the right commit alone where one is pinned, else right checksums of which none is wrong', () => {
    fc.assert(
      fc.property(cases, ({ is, pins, kinds }) => {
        const sums = [kinds.sha256, kinds.sha512];
        const byCommit = kinds.commit === 'right' && is.commit !== undefined;
        const bySum = sums.includes('right') && !sums.includes('wrong');
        const fromGit = kinds.commit !== 'absent' && is.commit !== undefined;
        expect(provedBy(pins, is) !== undefined).toBe(fromGit ? byCommit : bySum);
      }),
    );
  });

  test('names a proof that is really pinned and really matches', () => {
    fc.assert(
      fc.property(cases, ({ is, pins }) => {
        const proof = provedBy(pins, is);
        if (proof !== undefined) expect(pins[proof]).toBe(is[proof]);
      }),
    );
  });

  test('takes nothing where nothing is pinned, also for bytes without a commit', () => {
    fc.assert(
      fc.property(identity, (is) => {
        expect(provedBy({}, is)).toBeUndefined();
      }),
    );
  });
});

describe('mismatch', () => {
  const is: Identity = { sha256: 'a'.repeat(64), sha512: 'b'.repeat(128) };

  test('says what was expected and what came', () => {
    const error = mismatch('xen', { sha256: 'c'.repeat(64), commit: 'd'.repeat(40) }, is, 'a place');
    expect(error).toMatchObject({
      code: 'SOURCE_MISMATCH',
      exit: 3,
      message: 'xen from a place is not what the catalog pins',
      expected: `sha256 ${'c'.repeat(64)} or git commit ${'d'.repeat(40)}`,
      got: `sha256 ${is.sha256}`,
    });
  });

  test('compares SHA-512 with SHA-512 where only that is pinned', () => {
    const error = mismatch('xen', { sha512: 'c'.repeat(128) }, is, 'a place');
    expect(error).toMatchObject({ expected: `sha512 ${'c'.repeat(128)}`, got: `sha512 ${is.sha512}` });
  });

  test('compares commit with commit for what was made from git', () => {
    const error = mismatch('xen', { commit: 'c'.repeat(40) }, { ...is, commit: 'd'.repeat(40) }, 'a place');
    expect(error).toMatchObject({ expected: `git commit ${'c'.repeat(40)}`, got: `git commit ${'d'.repeat(40)}` });
  });

  test('is another error, with --trust as the way out, where nothing is pinned', () => {
    const error = mismatch('grub', {}, is, 'a place');
    expect(error.code).toBe('SOURCE_UNPINNED');
    expect(error.hint).toContain('--trust grub');
  });
});
