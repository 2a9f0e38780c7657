import { quote } from '../build/scripts.ts';
import type { PutFile } from '../engine/archive.ts';
import type { Arch } from '../recipes/types.ts';
import type { GuestDisk, Put } from './types.ts';

/** Where the first partition begins: 1 MiB, as every partitioner has it now. */
const FIRST_SECTOR = 2048;
const SECTOR = 512;

/**
 * A master boot record with one bootable Linux partition from 1 MiB to the end (four entries of 16 bytes at 446, the
 * signature 55 aa at 510). No code: the loader has its own.
 * @param sectors size of the partition
 */
export function masterBootRecord(sectors: number): Buffer {
  const mbr = Buffer.alloc(SECTOR);
  mbr[446] = 0x80;
  // Cylinders, heads and sectors that say: look at the sector numbers.
  mbr.fill(Buffer.from([0xfe, 0xff, 0xff]), 447, 450);
  mbr[450] = 0x83;
  mbr.fill(Buffer.from([0xfe, 0xff, 0xff]), 451, 454);
  mbr.writeUInt32LE(FIRST_SECTOR, 454);
  mbr.writeUInt32LE(sectors, 458);
  mbr.writeUInt16LE(0xaa55, 510);
  return mbr;
}

/** Shell that writes what is put on a disk to a file; the kit of the boot image is at /kit. */
function putting(what: Put, arch: Arch, image: string, target: string): string {
  const to = quote(target);
  switch (what) {
    case 'kernel':
      return `cp /kit/guests/guest-${arch} ${to}`;
    case 'kernel.gz':
      return `gzip -n9c /kit/guests/guest-${arch} > ${to}`;
    case 'large':
      return `cp /kit/guests/large-${arch} ${to}`;
    case 'module':
      // mke2fs keeps holes.
      return `cp --sparse=always in/module ${to}`;
    case 'image':
      return `cp ${quote(image)} ${to}`;
    case 'linux':
      return `cp /kit/bzImage ${to}`;
    case 'linux.gz':
      return `gzip -n1c /kit/vmlinux > ${to}`;
    case 'linux-initrd':
      return `cp /kit/linux-initrd ${to}`;
  }
}

/**
 * What makes a guest's disk in the boot container, without a mount and without root.
 * @param id names this disk's folders
 * @param image the image under test, a path in the container
 * @param target the disk's path in the container
 * @returns lines of shell, and the files that they need below /cell
 */
export function makeDisk(disk: GuestDisk, id: string, arch: Arch, image: string, target: string): { lines: string[]; files: PutFile[] } {
  const tree = `tree-${id}`;
  const files: PutFile[] = [];
  const lines = [`mkdir -p ${quote(tree)}`];
  for (const [path, content] of Object.entries(disk.files)) {
    const place = `${tree}${path}`;
    lines.push(`mkdir -p ${quote(place.replace(/\/[^/]*$/, ''))}`);
    if ('put' in content) lines.push(putting(content.put, arch, image, place));
    else {
      const name = `in/${id}/${files.length}`;
      files.push({ name, content: Buffer.from(content.text) });
      lines.push(`cp ${quote(name)} ${quote(place)}`);
    }
  }
  const system = disk.table === 'none' ? target : `${tree}.fs`;
  lines.push(`truncate -s ${disk.size}M ${quote(system)}`, `${disk.make} ${quote(tree)} ${quote(system)} > /dev/null`);
  if (disk.table === 'mbr') {
    const name = `in/${id}/mbr`;
    files.push({ name, content: masterBootRecord((disk.size * 2 ** 20) / SECTOR) });
    lines.push(
      `cp ${quote(name)} ${quote(target)}`,
      `dd if=${quote(system)} of=${quote(target)} bs=1M seek=1 conv=notrunc,sparse status=none`,
      `truncate -s ${disk.size + 1}M ${quote(target)}`,
      `rm -f ${quote(system)}`,
    );
  }
  lines.push(`rm -rf ${quote(tree)}`);
  return { lines, files };
}
