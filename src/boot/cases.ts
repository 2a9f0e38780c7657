import { compareVersions } from '../catalog/version.ts';
import type { Arch, Loader } from '../recipes/types.ts';
import type { BootCase, GuestDisk, Put } from './types.ts';

/** The cases that an image is booted with, as data. Pure. */

/** What is known of an image that is to be booted. */
export interface ImageKind {
  loader: Loader | undefined;
  arch: Arch;
  /** Version of a cell; undefined for a file of unknown origin. */
  version?: string | undefined;
}

const EXT2 = 'mke2fs -q -t ext2 -I 128 -d';
const EXT3 = 'mke2fs -q -t ext3 -b 1024 -d';
// What Debian's mke2fs makes by itself: extents, 64bit, flex_bg, metadata_csum and more.
const EXT4 = 'mke2fs -q -t ext4 -d';
const EXT4_32 = 'mke2fs -q -t ext4 -O ^64bit -d';
const BTRFS = 'mkfs.btrfs -q --rootdir';
// Nodes of 4 KiB were mkfs.btrfs's own choice when GRUB legacy's readers of it were written.
const BTRFS_4K = 'mkfs.btrfs -q -n 4096 --rootdir';

const MODULE = { put: 'module' } as const;

/** GRUB legacy's menu; the first entry's arguments tell which it was. */
const legacyMenu = (root: string, kernel: string, seconds: number) =>
  [
    'default 0',
    `timeout ${seconds}`,
    ...['first', 'second'].flatMap((name) => [
      `title ${name}`,
      `root ${root}`,
      `kernel /boot/${kernel} entry=${name} root=/dev/xvda`,
      'initrd /boot/module',
    ]),
    '',
  ].join('\n');

/** GRUB 2's menu, the same entries. */
const grub2Menu = (kernel: string, seconds: number, more = '') =>
  [
    'set default=0',
    `set timeout=${seconds}`,
    ...['first', 'second'].flatMap((name) => [
      `menuentry ${name} {`,
      `  linux /boot/${kernel} entry=${name} root=/dev/xvda${more}`,
      '  initrd /boot/module',
      '}',
    ]),
    '',
  ].join('\n');

/** What entries hand to the kernel. */
const commandLine = (entry: 'first' | 'second') => `entry=${entry} root=/dev/xvda`;

/** The time that a menu waits where a key is pressed: long enough that it is never the time that chooses. */
const LONG = 30;

/** pv-grub's cases differ in what they name; everything else is the same. */
function pvGrubCase(
  name: string,
  what: string,
  disk: Pick<GuestDisk, 'table' | 'make'> & { size?: number },
  more: Partial<BootCase> & { kernel?: 'kernel' | 'kernel.gz' } = {},
): BootCase {
  const { kernel = 'kernel', ...rest } = more;
  const keys = rest.keys ?? 'return';
  const root = disk.table === 'mbr' ? '(hd0,0)' : '(hd0)';
  return {
    name,
    what,
    extra: `${root}/boot/grub/menu.lst`,
    keys,
    memory: 64,
    limit: 60,
    expect: { outcome: 'boots', commandLine: commandLine(keys === 'second' ? 'second' : 'first') },
    ...rest,
    disk: {
      size: 8,
      ...disk,
      files: {
        '/boot/grub/menu.lst': { text: legacyMenu(root, kernel, keys === 'none' ? 1 : LONG) },
        [`/boot/${kernel}`]: { put: kernel },
        '/boot/module': MODULE,
      },
    },
  };
}

/** For a file of unknown origin: what not every build of a loader can do. */
const mayBoot = (version: string | undefined): Partial<BootCase> =>
  version === undefined ? { expect: { outcome: 'may-boot', commandLine: commandLine('first') } } : {};

function pvGrubCases(version: string | undefined): BootCase[] {
  // Xen's patch for ext4 came with 4.2; the edit that reads 64bit and holes covers the same releases. Its patch for
  // btrfs came with it, but stubdom/grub/Makefile never compiles that file.
  const old = version !== undefined && compareVersions(version, '4.2.0') < 0;
  const unread: Partial<BootCase> = { expect: { outcome: 'prompt' } };
  const ext4 = old ? unread : mayBoot(version);
  const btrfs = version === undefined ? mayBoot(version) : unread;
  return [
    pvGrubCase('disk', 'ext2 on the whole disk, the first entry when its time is over', { table: 'none', make: EXT2 }, { keys: 'none' }),
    pvGrubCase(
      'partition',
      'ext3 in an MBR partition, kernel packed with gzip, the second entry chosen by key',
      { table: 'mbr', make: EXT3 },
      { keys: 'second', kernel: 'kernel.gz' },
    ),
    pvGrubCase('ext4', "ext4 with mke2fs's own features, 64bit among them, and a file with a hole", { table: 'none', make: EXT4 }, ext4),
    pvGrubCase('ext4-32bit', 'ext4 without 64bit', { table: 'none', make: EXT4_32 }, ext4),
    pvGrubCase('btrfs', 'btrfs, with the small nodes of its early days', { table: 'none', make: BTRFS_4K, size: 128 }, btrfs),
  ];
}

function pvgrub2Case(
  name: string,
  what: string,
  disk: Pick<GuestDisk, 'table' | 'make'> & { size?: number; files?: GuestDisk['files'] },
  more: Partial<BootCase> & { kernel?: 'kernel' | 'kernel.gz' } = {},
): BootCase {
  const { kernel = 'kernel', ...rest } = more;
  const keys = rest.keys ?? 'return';
  return {
    name,
    what,
    extra: '',
    keys,
    memory: 128,
    limit: 90,
    expect: { outcome: 'boots', commandLine: commandLine(keys === 'second' ? 'second' : 'first') },
    ...rest,
    disk: {
      size: 16,
      ...disk,
      files: {
        ...(disk.files ?? { '/boot/grub/grub.cfg': { text: grub2Menu(kernel, keys === 'none' ? 1 : LONG) } }),
        [`/boot/${kernel}`]: { put: kernel },
        '/boot/module': MODULE,
      },
    },
  };
}

/** GRUB's loader of Linux on PCs, which PVH has, puts the kernel's name before what the menu says. */
function asGiven(arch: Arch, bootCase: BootCase): BootCase {
  const { expect } = bootCase;
  if (arch !== 'x86_32_pvh' || !('commandLine' in expect)) return bootCase;
  return { ...bootCase, expect: { ...expect, commandLine: `BOOT_IMAGE=/boot/kernel ${expect.commandLine}` } };
}

function pvgrub2Cases(arch: Arch, version: string | undefined): BootCase[] {
  // The test guest of PVH is a bzImage, which is never packed again.
  const packed = arch === 'x86_32_pvh' ? 'kernel' : 'kernel.gz';
  const cpu = arch === 'x86_64' ? 'x86_64' : 'i386';
  return [
    pvgrub2Case(
      'disk',
      'grub.cfg on ext2 on the whole disk, the first entry when its time is over',
      { table: 'none', make: EXT2 },
      { keys: 'none' },
    ),
    pvgrub2Case(
      'partition',
      "grub.cfg on ext4 with mke2fs's own features in an MBR partition, a packed kernel, the second entry chosen by key",
      { table: 'mbr', make: EXT4 },
      { keys: 'second', kernel: packed },
    ),
    pvgrub2Case(
      'legacy',
      'a legacy menu.lst, named on the command line as for pv-grub',
      { table: 'mbr', make: EXT3, files: { '/boot/grub/menu.lst': { text: legacyMenu('(hd0,0)', 'kernel', LONG) } } },
      { extra: '(hd0,0)/boot/grub/menu.lst', ...mayBoot(version) },
    ),
    ...(arch === 'x86_32_pvh'
      ? []
      : [
          pvgrub2Case(
            'pvboot',
            "a loader of the guest's own, /boot/xen/pvboot-*.elf, is started first",
            {
              table: 'none',
              make: EXT2,
              files: {
                // That a second loader shows the menu, not the first, only its own variable tells.
                '/boot/grub/grub.cfg': { text: grub2Menu('kernel', LONG, version === undefined ? '' : ' stage=$pvgrub_stage') },
                [`/boot/xen/pvboot-${cpu}.elf`]: { put: 'image' },
              },
            },
            version === undefined ? mayBoot(version) : { expect: { outcome: 'boots', commandLine: `${commandLine('first')} stage=2` } },
          ),
        ]),
    pvgrub2Case('btrfs', 'grub.cfg on btrfs', { table: 'none', make: BTRFS, size: 128 }, mayBoot(version)),
  ];
}

/** A real Linux of Debian through the loader: its kernel and a small initial RAM disk. Undefined where Debian has none of that width. */
export function linuxCase({ loader, arch, version }: ImageKind): BootCase | undefined {
  // Linux 5.9 gave up 32-bit PV; Debian's kernels are newer.
  if (arch === 'x86_32') return undefined;
  const more = { memory: 288, limit: 240, keys: 'return', expect: { outcome: 'linux', commandLine: commandLine('first') } } as const;
  const what = "Debian's Linux kernel";
  // libxc's decompressors know xz from 4.3 on; before, the same kernel is given packed with gzip.
  const put: Put = loader === 'pv-grub' && version !== undefined && compareVersions(version, '4.3.0') < 0 ? 'linux.gz' : 'linux';
  const base =
    loader === 'pv-grub'
      ? pvGrubCase('linux', what, { table: 'none', make: EXT2, size: 96 }, more)
      : pvgrub2Case('linux', what, { table: 'none', make: EXT2, size: 96 }, more);
  const files = Object.fromEntries(
    Object.entries(base.disk.files).map(([path, content]) => [
      path,
      path === '/boot/kernel' ? { put } : path === '/boot/module' ? ({ put: 'linux-initrd' } as const) : content,
    ]),
  );
  return { ...base, disk: { ...base.disk, files } };
}

/** A large kernel is read from disk while events come in: what is read must be whole. */
export function stressCase({ loader, arch }: ImageKind): BootCase {
  const name = 'stress';
  const what = 'a kernel of 12 MB, read while events come in';
  const more = { memory: 128, limit: 90, stress: true } as const;
  const base =
    loader === 'pv-grub'
      ? pvGrubCase(name, what, { table: 'none', make: EXT2, size: 40 }, more)
      : pvgrub2Case(name, what, { table: 'none', make: EXT2, size: 40 }, more);
  return asGiven(arch, { ...base, disk: { ...base.disk, files: { ...base.disk.files, '/boot/kernel': { put: 'large' } } } });
}

/** The cases for an image, in order; a Xen guest that is no loader gets the one that shows what it does. */
export function casesFor(kind: ImageKind): BootCase[] {
  if (kind.loader === 'pvgrub2') return pvgrub2Cases(kind.arch, kind.version).map((one) => asGiven(kind.arch, one));
  const cases = pvGrubCases(kind.version);
  return kind.loader === 'pv-grub' ? cases : cases.slice(0, 1);
}
