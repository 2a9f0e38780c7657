import { refusalOf, UsageError } from '../errors.ts';
import { PACKED } from './disk/identify.ts';
import { openFolder } from './folder.ts';
import type { LegacyDevice } from './menu/legacy.ts';
import { type OpenArea, openArea } from './read.ts';
import { type GuestDisk, guestDisk } from './volume.ts';

/** Opening what the user names: a disk image, a block device, a mounted folder. Read-only. */

/** A guest's disks, open for reading. */
export interface OpenGuest extends Disposable {
  disks: GuestDisk[];
}

/** @throws UsageError FILE_UNREADABLE */
function openDisk(path: string, number: number): { disk: GuestDisk; close: () => void } {
  let open: OpenArea;
  try {
    open = openArea(path);
  } catch (error) {
    throw refusalOf(error, path, ['ENOENT', 'ENXIO', 'ENODEV', 'ENOMEDIUM']) ?? error;
  }
  const { area, stat, close } = open;
  try {
    if (!stat.isFile() && !stat.isBlockDevice())
      throw new UsageError('FILE_UNREADABLE', `${path} is no disk`, {
        expected: 'a disk image, a block device, or a folder: a mounted /boot or root of a guest',
      });
    if (area.size === 0)
      throw new UsageError('FILE_UNREADABLE', `${path} is empty`, { expected: 'a disk image or block device with a guest on it' });
    const disk = guestDisk(area, path, number);
    const type = disk.volumes[0]?.content.type ?? '';
    const convert = PACKED[type];
    if (convert !== undefined)
      throw new UsageError('FILE_UNREADABLE', `${path} is a ${type} file, and its content is not looked at`, {
        expected: 'a raw disk',
        hint: convert.replace('<file>', path),
      });
    return { disk, close };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * Open a guest's disks, or folders with its files, in the order of its virtual devices.
 * @param paths undefined for a disk that the guest has, but that is not at hand
 * @param device what a folder's file system is to the loader, where that cannot be seen
 * @throws UsageError FILE_UNREADABLE
 */
export function openGuest(paths: readonly (string | undefined)[], device?: LegacyDevice): OpenGuest {
  const opened: (() => void)[] = [];
  const close = () => {
    for (const one of opened.splice(0)) one();
  };
  try {
    const disks = paths.flatMap((path, number) => {
      if (path === undefined) return [];
      const folder = openFolder(path, number, device);
      if (folder) return folder;
      const open = openDisk(path, number);
      opened.push(open.close);
      return open.disk;
    });
    return { disks, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}
