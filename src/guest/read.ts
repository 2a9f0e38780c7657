import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, type Stats } from 'node:fs';
import { Area } from './disk/area.ts';

/** A disk image or block device, open for reading. */
export interface OpenArea {
  area: Area;
  stat: Stats;
  close: () => void;
}

/** A device's number as /sys and /proc write it; in one number it is as glibc's makedev() puts it together. */
export function deviceNumbers(dev: number): string {
  return `${(dev >>> 8) & 0xfff}:${(dev & 0xff) | (Math.floor(dev / 2 ** 12) & 0xfff00)}`;
}

/** Size of a block device in bytes: Linux's own number of sectors (Documentation/ABI/stable/sysfs-block). */
function deviceSize({ rdev }: Stats): number {
  return Number(readFileSync(`/sys/dev/block/${deviceNumbers(rdev)}/size`, 'utf8')) * 512;
}

/** Open a file or block device for reading. Its size is 0 for anything else. @throws the system's error */
export function openArea(path: string): OpenArea {
  // Opening a pipe would wait for ever.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    const size = stat.isFile() ? stat.size : stat.isBlockDevice() ? deviceSize(stat) : 0;
    const readAt = (offset: number, length: number) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
    };
    return { area: new Area(readAt, size), stat, close: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
