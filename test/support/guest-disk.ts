import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { masterBootRecord } from '../../src/boot/disk.ts';
import { hasJudge } from './judges.ts';
import { tempFolder } from './temp-folder.ts';

/** Guests' disks, made by Debian's own mke2fs. */
export const MKE2FS = hasJudge('mke2fs');

/** What a file of a disk is: its content, or where a link leads. */
export type Files = Record<string, string | Buffer | { link: string } | { hole: number }>;

/** Write files into a folder; a hole is a file of so many bytes with nothing in it. */
export function writeTree(folder: string, files: Files): void {
  for (const [path, content] of Object.entries(files)) {
    const place = join(folder, path);
    mkdirSync(dirname(place), { recursive: true });
    if (typeof content === 'string' || Buffer.isBuffer(content)) writeFileSync(place, content);
    else if ('link' in content) symlinkSync(content.link, place);
    else {
      writeFileSync(place, '');
      truncateSync(place, content.hole);
    }
  }
}

/**
 * A disk with a file system made by mke2fs.
 * @param options of mke2fs: "-t ext4 -O ^64bit"
 * @param size in MiB
 * @returns the path of its file
 */
export function makeDisk(files: Files, options = '-t ext4', { size = 16, partition = false, folder = tempFolder() } = {}): string {
  const tree = join(folder, 'tree');
  mkdirSync(tree, { recursive: true });
  writeTree(tree, files);
  const system = join(folder, partition ? 'system' : 'disk.img');
  writeFileSync(system, '');
  truncateSync(system, size * 2 ** 20);
  execFileSync('mke2fs', ['-q', '-F', ...options.split(' '), '-d', tree, system], { stdio: 'pipe' });
  if (!partition) return system;
  const disk = join(folder, 'disk.img');
  writeFileSync(disk, masterBootRecord(size * 2048));
  truncateSync(disk, (size + 1) * 2 ** 20);
  execFileSync('dd', [`if=${system}`, `of=${disk}`, 'bs=1M', 'seek=1', 'conv=notrunc', 'status=none']);
  return disk;
}

/** A copy of a disk, to be damaged. */
export function copyOf(disk: string): string {
  const copy = join(tempFolder(), 'copy.img');
  copyFileSync(disk, copy);
  return copy;
}
