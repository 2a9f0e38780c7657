import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkGuest, type GuestReport } from '../../src/guest/check/check.ts';
import { reportData, reportText } from '../../src/guest/check/report.ts';
import { suitedLoader } from '../../src/guest/check/suits.ts';
import { Area, areaOf } from '../../src/guest/disk/area.ts';
import type { LoaderKind } from '../../src/guest/loader.ts';
import { catalogCells, cellLoader } from '../../src/guest/loaders.ts';
import { guestDisk } from '../../src/guest/volume.ts';
import { type Files, MKE2FS, makeDisk } from '../support/guest-disk.ts';
import { bzImageOf, elfKernel } from '../support/kernels.ts';
import { realPlanData } from '../support/plan-data.ts';

const LOADERS = catalogCells(realPlanData()).map(cellLoader);
const loader = (name: string) => LOADERS.find((one) => one.name === name) as LoaderKind;
const NEW = loader('pv-grub-4.20.4-x86_64');
const FOREIGN: LoaderKind = { name: 'pv-grub-x86_64.gz', file: '/x', loader: 'pv-grub', arch: 'x86_64', ours: false };

const MENU =
  'default 0\ntimeout 5\ntitle Linux\nroot (hd0)\nkernel /boot/vmlinuz-1 root=/dev/xvda1 ro console=hvc0\ninitrd /boot/initrd.img-1\n';
const guest = (menu: string, more: Files = {}): Files => ({
  'boot/grub/menu.lst': menu,
  'boot/vmlinuz-1': bzImageOf(elfKernel(), 'gzip'),
  'boot/initrd.img-1': 'initrd',
  ...more,
});
const check = (disk: string, loaders: readonly LoaderKind[] = [NEW]): GuestReport =>
  checkGuest([guestDisk(areaOf(readFileSync(disk)), 'disk.img', 0)], loaders);
const verdict = (report: GuestReport) =>
  report.verdicts
    .map(({ ok, obstacles }) => (ok ? 'boots' : obstacles.map(({ where, what }) => `${where}: ${what}`).join('; ')))
    .join(' | ');

describe.skipIf(!MKE2FS)('a guest on a real disk', () => {
  test('that is right boots by every loader that fits, and no other is blamed for what it can do', () => {
    const report = check(makeDisk(guest(MENU), '-t ext2'), LOADERS);
    expect(report.findings).toEqual([]);
    const by = (wanted: boolean) =>
      [...new Set(report.verdicts.filter(({ ok }) => ok === wanted).map(({ loader: { loader: name, arch } }) => `${name} ${arch}`))].sort();
    expect(by(true)).toEqual(['pv-grub x86_64', 'pvgrub2 x86_64']);
    expect(by(false)).toEqual(['pv-grub x86_32', 'pvgrub2 x86_32', 'pvgrub2 x86_32_pvh']);
    expect(suitedLoader(report)).toMatchObject({
      verdict: { loader: { name: 'pv-grub-4.22.0-x86_64' }, menu: '(hd0)/boot/grub/menu.lst' },
    });
    expect(reportText(report)).toMatch(/yes {2}pv-grub 4\.0\.0 to 4\.22\.0, x86_64: by \(hd0\)\/boot\/grub\/menu\.lst/);
    expect(JSON.parse(JSON.stringify(reportData(report)))).toMatchObject({
      suits: { loader: 'pv-grub-4.22.0-x86_64' },
      menus: [{ kernel: '(hd0)/boot/vmlinuz-1', timeout: 5 }],
    });
  });

  test('in a partition is found there, and what names the whole disk is told', () => {
    const disk = makeDisk(guest(MENU), '-t ext3', { partition: true });
    expect(verdict(check(disk))).toBe('(hd0,0)/boot/grub/menu.lst:4: root (hd0): there is no such volume');
    expect(check(disk).findings[0]?.hint).toBe('the disk has partitions, counted from 0: root (hd0,0)');
    expect(verdict(check(makeDisk(guest(MENU.replace('(hd0)', '(hd0,0)')), '-t ext3', { partition: true })))).toBe('boots');
  });

  test.each([
    ['pv-grub-4.1.4-x86_64', '-t ext4 -O ^64bit', 'it is stored in extents, as ext4 does'],
    ['pv-grub-4.1.4-x86_64', '-t ext4', 'the feature 64bit of this ext4'],
    ['pv-grub-4.20.4-x86_64', '-t ext4', 'boots'],
    ['pv-grub-4.20.4-x86_64', '-t ext4 -O inline_data', 'is inside of its inode'],
    ['pv-grub-4.20.4-x86_64', '-t ext4 -b 16384', 'blocks of 16384 bytes'],
    ['pvgrub2-2.14-x86_64', '-t ext4 -O inline_data', 'the feature inline_data of this ext4'],
    ['pvgrub2-2.14-x86_64', '-t ext4 -O casefold', 'the feature casefold of this ext4'],
    ['pv-grub-4.20.4-x86_64', '-t ext4 -O casefold', 'boots'],
  ])('%s on %s: %s', (name, options, said) => expect(verdict(check(makeDisk(guest(MENU), options), [loader(name)]))).toContain(said));

  test('an image of unknown release is told apart: holes, 64bit, extents', () => {
    const holes = guest(MENU.replace('initrd.img-1', 'sparse'), { 'boot/sparse': { hole: 100_000 } });
    const old = { ...FOREIGN, version: '4.17.5' };
    expect(verdict(check(makeDisk(holes, '-t ext4 -O ^64bit'), [old]))).toBe('(hd0)/boot/sparse: it has holes');
    expect(verdict(check(makeDisk(holes, '-t ext4 -O ^64bit')))).toBe('boots');
    expect(check(makeDisk(guest(MENU), '-t ext4'), [FOREIGN]).verdicts[0]?.obstacles[0]?.hint).toContain('pvgrub boot shows what it reads');
  });

  test.each([
    ['root (/dev/xvda1)', '(hd0)', '(/dev/xvda1)', 'that is a name of Linux'],
    ['two commands on a line', 'Linux\nroot', 'Linux root', 'stands on the line of "title"'],
    ['a kernel that is not there', 'vmlinuz-1', 'vmlinuz-2', 'there is no kernel (hd0)/boot/vmlinuz-2'],
    ['an initrd that is not there', 'initrd.img-1', 'initrd.img-2', 'there is no initial RAM disk'],
    ['a path as /boot of its own has it', '/boot/vmlinuz', '/vmlinuz', 'there is no kernel (hd0)/vmlinuz-1'],
    ['a default beyond the last entry', 'default 0', 'default 1', 'there are 1 entries'],
    ['no entry', /title[\s\S]*/, '', 'it has no entry'],
    ['a line that was broken', 'vmlinuz-1 root', 'vmlinuz-1\nroot', 'that is a name of Linux'],
  ])('an error of the menu: %s', (_, from, to, said) =>
    expect(verdict(check(makeDisk(guest(MENU.replace(from, to)), '-t ext2')))).toContain(said),
  );

  test.each([
    ['no console', ' console=hvc0', '', 'console=hvc0 is missing'],
    ['no root=', 'root=/dev/xvda1 ', '', 'root= is missing'],
    ["a disk of a PC's", '/dev/xvda1', '/dev/sda1', "Xen's disks are xvda"],
    ['a UUID that is not here', '/dev/xvda1', 'UUID=12345678-1234-1234-1234-123456789abc', 'no file system here has this UUID'],
    ['no timeout', 'timeout 5\n', '', 'it waits for a key'.replace('it', 'the menu')],
    ['a word that is no command', 'initrd', 'quiet splash\nsplash x\ninitrd', '"splash" is no command'],
  ])('a warning of the menu, and it boots: %s', (_, from, to, said) => {
    const report = check(makeDisk(guest(MENU.replace(from, to)), '-t ext2'));
    expect(verdict(report)).toBe('boots');
    expect(report.findings.map(({ what }) => what).join()).toContain(said);
  });

  test.each([
    ['xz', '4.2.5', 'it is packed with xz'],
    ['xz', '4.3.0', 'boots'],
    ['zstd', '4.14.6', 'it is packed with zstd'],
    ['zstd', '4.15.0', 'boots'],
    ['lz4', '4.3.4', 'it is packed with lz4'],
    ['gzip', '4.0.0', 'boots'],
  ])('a kernel packed with %s and pv-grub of Xen %s: %s', (packing, version, said) => {
    const disk = makeDisk(guest(MENU, { 'boot/vmlinuz-1': bzImageOf(elfKernel(), packing) }), '-t ext2');
    expect(verdict(check(disk, [loader(`pv-grub-${version}-x86_64`)]))).toContain(said);
  });

  test.each([
    ['32 bits', 'pv-grub-4.20.4-x86_64', 'it is a 32-bit kernel', elfKernel({ bits: 32 })],
    ['32 bits', 'pv-grub-4.20.4-x86_32', 'boots', elfKernel({ bits: 32 })],
    ['PVH alone', 'pv-grub-4.20.4-x86_64', 'built without Xen PV', bzImageOf(elfKernel({ pv: false, pvh: true }), 'gzip')],
    ['PVH alone', 'pvgrub2-2.14-x86_32_pvh', 'boots', bzImageOf(elfKernel({ pv: false, pvh: true }), 'zstd')],
    ['no kernel', 'pv-grub-4.20.4-x86_64', 'neither a bzImage nor an ELF file', Buffer.from('#!/bin/sh')],
  ])('a kernel of %s by %s: %s', (_, name, said, kernel) => {
    const disk = makeDisk(guest(MENU, { 'boot/vmlinuz-1': kernel }), '-t ext2');
    expect(verdict(check(disk, [loader(name)]))).toContain(said);
  });

  test('what cannot be unpacked here, its config tells', () => {
    const files = guest(MENU, {
      'boot/vmlinuz-1': bzImageOf(elfKernel(), 'xz', { version: '1' }),
      'boot/config-1': 'CONFIG_X86=y\nCONFIG_64BIT=y\nCONFIG_XEN=y\n# CONFIG_XEN_PV is not set\nCONFIG_PVH=y\n',
    });
    expect(verdict(check(makeDisk(files, '-t ext2')))).toContain('without Xen PV');
  });

  test.each([
    ['configfile', 'configfile (hd0)/boot/grub/other.lst\n'],
    ['a BSD slice', 'root (hd0,1,a)\nkernel /bsd\n'],
  ])('what only booting would show is not said to boot: %s', (_, commands) => {
    expect(verdict(check(makeDisk(guest(`timeout 1\ntitle other\n${commands}`), '-t ext2')))).toContain(
      'cannot be told without booting it',
    );
  });

  test('a GPT, and more links than a loader follows, stand in the way of pv-grub and not of pvgrub2', () => {
    const both = [NEW, loader('pvgrub2-2.14-x86_64')];
    const disk = guestDisk(areaOf(readFileSync(makeDisk(guest(MENU), '-t ext2'))), 'x', 0);
    const gpt = { ...disk, volumes: disk.volumes.map((volume) => ({ ...volume, table: 'gpt' as const })) };
    expect(verdict(checkGuest([gpt], both))).toBe('(hd0): GRUB 0.97 reads no GPT | boots');
    const links = Object.fromEntries([1, 2, 3, 4, 5, 6].map((n) => [`boot/l${n}`, { link: n === 1 ? 'vmlinuz-1' : `l${n - 1}` }]));
    expect(verdict(check(makeDisk(guest(MENU.replace('vmlinuz-1', 'l6'), links), '-t ext2'), both))).toBe(
      '(hd0)/boot/l6: 6 symbolic links lead to it, and pv-grub follows 5 | boots',
    );
  });

  test('grub.cfg is what pvgrub2 boots by, and suits where there is no menu.lst', () => {
    const cfg = "menuentry 'Linux' {\n  linux /boot/vmlinuz-1 root=/dev/xvda1 console=hvc0\n  initrd /boot/initrd.img-1\n}\n";
    const { 'boot/grub/menu.lst': _, ...files } = guest(MENU, { 'boot/grub/grub.cfg': cfg });
    const report = check(makeDisk(files, '-t ext4'), LOADERS);
    expect(report.findings).toEqual([]);
    expect(suitedLoader(report)).toMatchObject({ verdict: { loader: { name: 'pvgrub2-2.14-x86_64' }, menu: '(hd0)/boot/grub/grub.cfg' } });
    expect(
      verdict(
        check(makeDisk({ ...files, 'boot/grub/grub.cfg': cfg.replace('vmlinuz-1', 'vmlinuz-9') }, '-t ext4'), [
          loader('pvgrub2-2.14-x86_64'),
        ]),
      ),
    ).toContain('there is no kernel');
  });

  test('device.map is looked at, and grub.conf that is menu.lst by a link is one menu', () => {
    const report = check(
      makeDisk(
        guest(MENU, { 'boot/grub/device.map': '(hd0) /dev/sda\n(hd0) /dev/sda\nnonsense\n', 'boot/grub/grub.conf': { link: 'menu.lst' } }),
        '-t ext2',
      ),
    );
    expect(report.menus).toHaveLength(1);
    expect(report.findings.map(({ where, what }) => `${where} ${what}`)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('device.map:3 "nonsense"'),
        expect.stringContaining(':2 hd0 is there twice'),
        expect.stringContaining('/dev/sda: as a Xen guest'),
      ]),
    );
  });

  test('a disk that is damaged anywhere has an answer, soon', () => {
    const whole = readFileSync(makeDisk(guest(MENU), '-t ext4', { size: 4 }));
    const place = fc.oneof(fc.integer({ min: 1024, max: 2047 }), fc.integer({ min: 2048, max: 100_000 }), fc.nat(whole.length - 1));
    fc.assert(
      fc.property(fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 40 }), (damage) => {
        const broken = Buffer.from(whole);
        for (const [at, byte] of damage) broken[at] = byte;
        reportText(checkGuest([guestDisk(areaOf(broken), 'disk.img', 0)], [NEW, loader('pvgrub2-2.14-x86_64')]));
      }),
      { numRuns: 400 },
    );
  });

  test('a disk that is cut off anywhere has an answer', () => {
    const whole = readFileSync(makeDisk(guest(MENU), '-t ext4', { size: 4, partition: true }));
    fc.assert(
      fc.property(fc.nat(whole.length), (size) => void checkGuest([guestDisk(areaOf(whole.subarray(0, size)), 'disk.img', 0)], [NEW])),
      { numRuns: 200 },
    );
  });

  test('a file that says it is enormous takes neither memory nor time', () => {
    const disk = readFileSync(makeDisk(guest(MENU), '-t ext2 -b 1024'));
    // Every inode's size: the menu, the kernel and the folders say four gigabytes.
    for (let at = 0; at + 128 < disk.length; at += 128)
      if ([0x81a4, 0x41ed].includes(disk.readUInt16LE(at))) disk.writeUInt32LE(0xffff_fff0, at + 4);
    let read = 0;
    const area = new Area((offset, length) => {
      read += length;
      return disk.subarray(offset, offset + length);
    }, disk.length);
    checkGuest([guestDisk(area, 'disk.img', 0)], [NEW]);
    expect(read).toBeLessThan(2 ** 31);
  });
});

test.each([
  ['nothing', 'there is no file system', Buffer.alloc(1 << 20)],
  ['noise', 'there is no file system', Buffer.alloc(1 << 20, 0x5a)],
  ['btrfs', 'pv-grub does not read btrfs', mark(0x1_0040, '_BHRfS_M')],
  ['LVM', 'pv-grub does not look into LVM2_member', mark(512, 'LABELONE')],
  ['LUKS', 'pv-grub does not look into crypto_LUKS', mark(0, 'LUKS\xba\xbe')],
  ['swap', 'there is no menu.lst', mark(4086, 'SWAPSPACE2')],
])('a disk with %s: %s', (_, said, bytes) => {
  expect(verdict(checkGuest([guestDisk(areaOf(bytes), 'x', 0)], [NEW]))).toContain(said);
});

function mark(at: number, text: string): Buffer {
  const bytes = Buffer.alloc(1 << 20);
  bytes.write(text, at, 'latin1');
  return bytes;
}

test('any bytes are a disk with some answer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => void reportText(checkGuest([guestDisk(areaOf(bytes), 'x', 0)], [NEW]))),
  );
});
