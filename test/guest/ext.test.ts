import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { areaOf } from '../../src/guest/disk/area.ts';
import { ExtFiles } from '../../src/guest/disk/ext-read.ts';
import { type ExtSuper, extSuper, featureNames } from '../../src/guest/disk/ext-super.ts';
import { noise } from '../support/elf-builder.ts';
import { MKE2FS, makeDisk } from '../support/guest-disk.ts';

const big = noise(700_000);
const FILES = {
  'boot/grub/menu.lst': 'default 0\n',
  'boot/vmlinuz': big,
  'boot/link': { link: 'vmlinuz' },
  'boot/up': { link: '../boot/link' },
  'boot/absolute': { link: '/boot/vmlinuz' },
  'boot/long': { link: `./${'./'.repeat(50)}vmlinuz` },
  'boot/round': { link: 'round' },
  'boot/sparse': { hole: 300_000 },
  ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`many/a-name-that-fills-the-folder-${i}`, String(i)])),
};

const open = (disk: string) => {
  const area = areaOf(readFileSync(disk));
  const sb = extSuper(area) as ExtSuper;
  return { sb, files: new ExtFiles(area, sb) };
};
const read = (files: ExtFiles, path: string) => {
  const found = files.find(path);
  return found && files.read(found.node, 1 << 24);
};

// Every set of mke2fs.conf, then what loaders may meet besides.
const KINDS = [
  '-t ext2',
  '-t ext3',
  '-t ext4',
  '-T small',
  '-T floppy',
  '-T big',
  '-T huge',
  '-T news',
  '-T largefile -N 1000',
  '-T largefile4 -N 1000',
  '-T hurd',
  '-t ext2 -r 0',
  '-t ext4 -O ^64bit',
  '-t ext4 -O bigalloc',
  '-t ext4 -b 4096 -O bigalloc',
  '-t ext4 -b 1024 -O meta_bg,^resize_inode',
  '-t ext2 -b 1024 -O meta_bg,^resize_inode,^sparse_super',
  '-t ext4 -O casefold,encrypt,ea_inode,large_dir,metadata_csum_seed,mmp,quota',
  '-t ext4 -b 4096 -I 1024',
  '-t ext4 -b 65536',
  '-t ext2 -O ^filetype,^dir_index',
];

describe.skipIf(!MKE2FS)('a file system that mke2fs made', () => {
  test.each(KINDS)('%s: its files are read as they were written', (options) => {
    const disk = makeDisk(FILES, options, { size: 40 });
    const { sb, files } = open(disk);
    for (const path of ['/boot/vmlinuz', '/boot/link', '/boot/up', '/boot/absolute', '/boot/long'])
      expect(read(files, path)?.equals(big)).toBe(true);
    expect(read(files, '/boot/grub/menu.lst')?.toString()).toBe('default 0\n');
    expect(read(files, '/many/a-name-that-fills-the-folder-299')?.toString()).toBe('299');
    expect(files.find('/boot/none')).toBeUndefined();
    expect(files.find('/boot/vmlinuz/x')).toBeUndefined();
    expect(files.find('/boot/round')).toBeUndefined();
    expect(files.find('/boot/up')?.links).toBe(2);
    const holes = (path: string) => files.hasHoles(files.find(path)?.node as never);
    expect(holes('/boot/vmlinuz')).toBe(false);
    expect(holes('/boot/sparse')).toBe(true);
    // dumpe2fs is the judge of what the superblock says.
    const told = execFileSync('dumpe2fs', ['-h', disk], { stdio: 'pipe' }).toString();
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(told)?.[1];
    const features = field('Filesystem features') ?? '(none)';
    expect(featureNames(sb).sort().join(' ')).toBe(features === '(none)' ? '' : features.split(' ').sort().join(' '));
    expect(sb.uuid).toBe(field('Filesystem UUID'));
    expect(sb.blockSize).toBe(Number(field('Block size')));
    expect(sb.size).toBe(Number(field('Block count')) * sb.blockSize);
  });

  test('what is inside of inodes is told, not read as blocks', () => {
    const { files } = open(makeDisk({ 'etc/small': 'x' }, '-t ext4 -O inline_data'));
    expect(() => read(files, '/etc/small')).toThrow('inside of its inode');
  });

  test('a large file is read as far as is wanted', () => {
    const { files } = open(makeDisk({ file: big }));
    expect(files.read(files.find('/file')?.node as never, 1000).equals(big.subarray(0, 1000))).toBe(true);
  });
});

test('what is no file system is none', () => {
  expect(extSuper(areaOf(Buffer.alloc(4096)))).toBeUndefined();
  expect(extSuper(areaOf(Buffer.alloc(10)))).toBeUndefined();
});
