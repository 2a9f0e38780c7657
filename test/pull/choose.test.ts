import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PublishedImage } from '../../src/publish/index-file.ts';
import { chooseImages } from '../../src/pull/choose.ts';

const image = (id: string) => {
  const [, loader, version, arch] = /^(pv-grub|pvgrub2)-([\d.]+)-(.+)$/.exec(id) ?? [];
  return { id, loader, version, arch } as PublishedImage;
};
const images = [
  ...['4.1.4', '4.1.6.1', '4.9.0', '4.17.5', '4.17.10', '4.20.0'].flatMap((version) =>
    ['x86_32', 'x86_64'].map((arch) => `pv-grub-${version}-${arch}`),
  ),
  ...['2.12', '2.14'].flatMap((version) => ['x86_32', 'x86_32_pvh', 'x86_64'].map((arch) => `pvgrub2-${version}-${arch}`)),
  'pv-grub-4.21.0-x86_64',
].map(image);
const chosen = (selectors: string[], xen?: string) => {
  const { images: found, notes } = chooseImages(selectors, images, xen);
  return { ids: found.map(({ id }) => id), notes: notes.length };
};
const both = (version: string) => [`pv-grub-${version}-x86_32`, `pv-grub-${version}-x86_64`];

describe('a selector of pull', () => {
  test.each<[string, string[], number]>([
    ['4.17', both('4.17.10'), 0],
    ['4.17.5', both('4.17.5'), 0],
    ['4.17-x86_64', ['pv-grub-4.17.10-x86_64'], 0],
    ['4.1', both('4.1.6.1'), 0],
    ['pv-grub-4.9', both('4.9.0'), 0],
    ['pv-grub-4.17.5-x86_32', ['pv-grub-4.17.5-x86_32'], 0],
    ['pv-grub', ['pv-grub-4.20.0-x86_32', 'pv-grub-4.21.0-x86_64'], 0],
    ['pv-grub-x86_32', ['pv-grub-4.20.0-x86_32'], 0],
    ['latest', ['pv-grub-4.20.0-x86_32', 'pv-grub-4.21.0-x86_64'], 0],
    ['4.21', ['pv-grub-4.21.0-x86_64'], 0],
    ['4.22-x86_64', ['pv-grub-4.21.0-x86_64'], 1],
    ['pvgrub2', images.filter(({ id }) => id.startsWith('pvgrub2-2.14')).map(({ id }) => id), 0],
    ['pvgrub2-x86_32_pvh', ['pvgrub2-2.14-x86_32_pvh'], 0],
    ['pvgrub2-2.12-x86_64', ['pvgrub2-2.12-x86_64'], 0],
    ['4.18', both('4.17.10'), 1],
    ['4.17.7', both('4.17.10'), 1],
    ['4.0', both('4.1.4'), 1],
    ['4.21-x86_32', ['pv-grub-4.20.0-x86_32'], 1],
    ['*-4.17.*-x86_64', ['pv-grub-4.17.5-x86_64', 'pv-grub-4.17.10-x86_64'], 0],
  ])('%s means %j', (selector, ids, notes) => {
    expect(chosen([selector])).toEqual({ ids, notes });
  });

  test('nothing, or host, means the Xen that runs', () => {
    expect(chosen([], '4.17.5')).toEqual({ ids: both('4.17.5'), notes: 0 });
    expect(chosen(['host'], '4.9')).toEqual({ ids: both('4.9.0'), notes: 0 });
    expect(() => chosen(['host'])).toThrow(expect.objectContaining({ code: 'SELECTOR_NO_MATCH' }));
  });

  test('several are joined, and ! takes away from what the others mean', () => {
    expect(chosen(['4.17', '!*-x86_32']).ids).toEqual(['pv-grub-4.17.10-x86_64']);
    expect(chosen(['4.17', '4.9', '!*-x86_64']).ids).toEqual(['pv-grub-4.9.0-x86_32', 'pv-grub-4.17.10-x86_32']);
    expect(chosen(['!pv-grub-*', '!*-2.12-*']).ids).toEqual(images.filter(({ id }) => id.startsWith('pvgrub2-2.14')).map(({ id }) => id));
    expect(chosen(['4.9-x86_64', 'pvgrub2-x86_64']).ids).toEqual(['pv-grub-4.9.0-x86_64', 'pvgrub2-2.14-x86_64']);
  });

  test('any other text is a clear error', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(chosen([text], '4.17').ids.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^SELECTOR_/) });
        }
      }),
    );
    expect(() => chooseImages(['4.17'], [], undefined)).toThrow(expect.objectContaining({ code: 'SELECTOR_NO_MATCH' }));
  });
});
