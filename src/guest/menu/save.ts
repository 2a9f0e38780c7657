import { constants } from 'node:fs';
import { copyFile, lstat, mkdir, realpath } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import { refusalOf, UsageError } from '../../errors.ts';
import { ifThere, statOf, writeFileAtomic } from '../../util/files.ts';

/** A free name for what is replaced: file.old, file.old.2, … */
async function backupName(path: string): Promise<string> {
  for (let n = 1; ; n++) {
    const name = n === 1 ? `${path}.old` : `${path}.old.${n}`;
    if ((await statOf(name)) === undefined) return name;
  }
}

/**
 * Write a file of a guest or domain so that what was there stays beside it. A link is followed: grub.conf stays grub.conf.
 * @param within a folder that a link must not lead out of
 * @returns the backup's path; undefined where nothing was there
 * @throws UsageError FILE_UNREADABLE
 */
export async function saveWithBackup(path: string, content: Uint8Array, within?: string): Promise<string | undefined> {
  try {
    const there = await ifThere(lstat(path));
    const target = there?.isSymbolicLink() ? await realpath(path) : path;
    if (within !== undefined) {
      await mkdir(dirname(target), { recursive: true });
      const [top, folder] = await Promise.all([realpath(within), realpath(dirname(target))]);
      if (folder !== top && !folder.startsWith(top.endsWith(sep) ? top : `${top}${sep}`))
        throw new UsageError('FILE_UNREADABLE', `${path} leads out of ${within}, to ${target}`, { hint: 'mend the link in the guest' });
    }
    const before = await statOf(target);
    const backup = before === undefined ? undefined : await backupName(target);
    if (backup !== undefined) await copyFile(target, backup, constants.COPYFILE_EXCL);
    await writeFileAtomic(target, content, before);
    return backup;
  } catch (error) {
    throw refusalOf(error, path, ['ENOENT']) ?? error;
  }
}
