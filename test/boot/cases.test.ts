import { describe, expect, test } from 'vitest';
import { casesFor, linuxCase, stressCase } from '../../src/boot/cases.ts';
import type { BootCase } from '../../src/boot/types.ts';
import { loadCatalog } from '../../src/catalog/load.ts';
import { knownVersions } from '../../src/catalog/resolve.ts';
import { compareVersions } from '../../src/catalog/version.ts';

const catalog = loadCatalog();
const ARCHES_OF = { 'pv-grub': ['x86_64', 'x86_32'], pvgrub2: ['x86_64', 'x86_32', 'x86_32_pvh'] } as const;
const cells = (['pv-grub', 'pvgrub2'] as const).flatMap((loader) =>
  knownVersions(catalog, loader).flatMap((version) => ARCHES_OF[loader].map((arch) => ({ loader, version, arch }))),
);
const text = (one: BootCase, path: string) => {
  const file = one.disk.files[path];
  return file && 'text' in file ? file.text : undefined;
};

describe('the cases of every cell', () => {
  test('have names of their own, and a menu where the loader looks for it', () => {
    for (const cell of cells) {
      const cases = [casesFor(cell), linuxCase(cell) ?? [], stressCase(cell)].flat();
      expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
      for (const one of cases) {
        const menu = /^\(hd0(,0)?\)(\/.*)$/.exec(one.extra);
        if (cell.loader === 'pv-grub') expect(menu).not.toBeNull();
        const path = menu?.[2] ?? '/boot/grub/grub.cfg';
        expect(text(one, path)).toMatch(/first[\s\S]*second/);
        // A root with a partition only where there is a partition.
        if (menu) expect(menu[1] !== undefined).toBe(one.disk.table === 'mbr');
        for (const [, kernel = ''] of (text(one, path) ?? '').matchAll(/(?:kernel|linux|initrd) (\/\S+)/g))
          expect(one.disk.files).toHaveProperty([kernel]);
      }
    }
  });

  test('try the menu by its time and by keys, a whole disk and a partition, a plain and a packed kernel', () => {
    for (const cell of cells) {
      const cases = casesFor(cell);
      expect(new Set(cases.map(({ keys }) => keys))).toEqual(new Set(['none', 'return', 'second']));
      expect(new Set(cases.map(({ disk }) => disk.table))).toEqual(new Set(['none', 'mbr']));
      if (cell.arch !== 'x86_32_pvh') expect(cases.some(({ disk }) => '/boot/kernel.gz' in disk.files)).toBe(true);
    }
  });
});

test('ext4 is expected to boot from 4.2 on, and to be refused before; btrfs is refused by every pv-grub', () => {
  for (const { version, arch } of cells.filter(({ loader }) => loader === 'pv-grub')) {
    const outcome = (name: string) => casesFor({ loader: 'pv-grub', arch, version }).find((one) => one.name === name)?.expect.outcome;
    expect(outcome('ext4')).toBe(compareVersions(version, '4.2.0') < 0 ? 'prompt' : 'boots');
    expect(outcome('btrfs')).toBe('prompt');
  }
});

test('what not every build can is no failure of a file whose origin nobody knows', () => {
  const outcomes = (cases: BootCase[]) => Object.fromEntries(cases.map((one) => [one.name, one.expect.outcome]));
  expect(outcomes(casesFor({ loader: 'pv-grub', arch: 'x86_64' }))).toMatchObject({ disk: 'boots', partition: 'boots', ext4: 'may-boot' });
  expect(outcomes(casesFor({ loader: 'pvgrub2', arch: 'x86_32' }))).toMatchObject({
    disk: 'boots',
    partition: 'boots',
    pvboot: 'may-boot',
  });
  expect(Object.values(outcomes(casesFor({ loader: undefined, arch: 'x86_64' })))).toEqual(['boots']);
});

test('a Linux is there for the widths that Debian has one of, packed as the loader can unpack it', () => {
  const put = (version: string) => linuxCase({ loader: 'pv-grub', arch: 'x86_64', version })?.disk.files['/boot/kernel'];
  expect(put('4.2.5')).toEqual({ put: 'linux.gz' });
  expect(put('4.3.0')).toEqual({ put: 'linux' });
  expect(linuxCase({ loader: 'pvgrub2', arch: 'x86_32', version: '2.14' })).toBeUndefined();
});
