import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { refusalOf, UsageError } from '../errors.ts';
import { Damaged } from './disk/area.ts';
import { INCOMPAT } from './disk/ext-super.ts';
import { type Content, FOLDER, identify } from './disk/identify.ts';
import { walk } from './disk/walk.ts';
import { deviceText, type LegacyDevice } from './menu/legacy.ts';
import { type Mount, mountOf } from './mount.ts';
import { openArea } from './read.ts';
import type { GuestDisk, Lookup, Volume } from './volume.ts';

/** A mounted folder as a volume: the guest's /boot, or its root. Read-only; links do not lead out of it. */

/** Where a guest's files are in a folder. */
export interface Layout {
  /** The folder that is the root of the file system with /boot on it. */
  root: string;
  /** /boot as that file system has it: "/boot", or "" where it is a file system of its own. */
  boot: string;
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
/** It is another file system than the folder above it. */
const isMount = (path: string) => statSync(path).dev !== statSync(join(path, '..')).dev;

/**
 * Which part of a guest a folder is: its root, or its /boot.
 * @throws UsageError FILE_UNREADABLE where it is neither
 */
export function layoutOf(folder: string): Layout {
  const path = realpathSync(folder);
  const inner = join(path, 'boot');
  // A link could lead out of the guest.
  const own = lstatSync(inner, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (own && isMount(inner)) return { root: inner, boot: '' };
  const looksLikeBoot = readdirSync(path).some((name) => /^(vmlinu[xz]-|grub2?$|kernel-|initr\w+(\.img)?-)/.test(name));
  if (own && !looksLikeBoot) return { root: path, boot: '/boot' };
  if (isMount(path)) return { root: path, boot: '' };
  if (path.endsWith('/boot')) return { root: join(path, '..'), boot: '/boot' };
  if (looksLikeBoot) return { root: path, boot: '' };
  throw new UsageError('FILE_UNREADABLE', `${folder} is neither a guest's root nor its /boot`, {
    expected: 'a folder with kernels (vmlinuz-…) or grub/ in it, or with a boot/ that has them',
  });
}

/** What may not be read, or is broken, is told as what is damaged on a disk. */
function readable<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (['EACCES', 'EPERM', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) throw new Damaged((error as Error).message);
    throw error;
  }
}

/** A path of the file system in the folder, with links followed inside of it. */
function real(root: string, path: string): string | undefined {
  const kind = (node: string) => {
    const stat = lstatSync(node);
    return stat.isSymbolicLink() ? 'link' : stat.isDirectory() ? 'folder' : stat.isFile() ? 'file' : 'other';
  };
  const child = (folder: string, name: string) => {
    const node = join(folder, name);
    return lstatSync(node, { throwIfNoEntry: false }) ? node : undefined;
  };
  return walk({ root, kind, child, target: (link) => readlinkSync(link) }, path)?.node;
}

function folderFile(root: string, path: string): Lookup {
  try {
    const place = real(root, path);
    const stat = place === undefined ? undefined : lstatSync(place);
    if (place === undefined || stat === undefined) return { state: 'absent' };
    const kind = stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'other';
    const read = (limit: number) =>
      readable(() => {
        const fd = openSync(place, 'r');
        try {
          const bytes = Buffer.alloc(Math.min(stat.size, limit));
          return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
        } finally {
          closeSync(fd);
        }
      });
    return { state: 'found', file: { path, id: `${stat.dev}:${stat.ino}`, kind, size: stat.size, read } };
  } catch (error) {
    if (refusalOf(error, path)) return { state: 'unknown', why: (error as Error).message };
    throw error;
  }
}

/** What the mounted file system is: by its own superblock where its device can be read, else by the name that Linux has for it. */
function contentOf(mount: Mount | undefined): Content {
  if (mount === undefined) return { type: FOLDER };
  try {
    const { area, close } = openArea(mount.source);
    try {
      const { ext, ...content } = identify(area);
      // It is mounted: of course its journal is in use.
      return ext ? { ...content, ext: { ...ext, incompat: ext.incompat & ~INCOMPAT.needs_recovery } } : content;
    } finally {
      close();
    }
  } catch {
    return { type: mount.type };
  }
}

/** @throws UsageError FILE_UNREADABLE */
function readableLayout(path: string): Layout {
  try {
    return layoutOf(path);
  } catch (error) {
    throw refusalOf(error, path) ?? error;
  }
}

/**
 * A folder as a guest's disk; undefined for a path that is no folder.
 * @param device what its file system is to the loader, where the user says so
 * @throws UsageError FILE_UNREADABLE
 */
export function openFolder(path: string, number: number, device: LegacyDevice | undefined): GuestDisk | undefined {
  if (!isFolder(path)) return undefined;
  const { root } = readableLayout(path);
  const mount = mountOf(root);
  const place = device ?? mount?.device ?? { disk: number };
  const name = deviceText(place);
  const list = (folder: string) => {
    const found = folderFile(root, folder);
    const inner = found.state === 'found' && found.file.kind === 'folder' ? real(root, folder) : undefined;
    return inner === undefined ? [] : readable(() => readdirSync(inner));
  };
  const table = place.partition === undefined ? 'none' : 'mbr';
  const volume: Volume = {
    name,
    device: place,
    table,
    content: contentOf(mount),
    open: true,
    find: (file) => folderFile(root, file),
    list,
  };
  return { name: path, size: 0, table, faults: [], volumes: [volume], guessed: device === undefined && mount?.device === undefined };
}

/** Text of a file of the /etc beside a mounted /boot, or in a mounted root; undefined where there is none. */
export function etcBeside({ root, boot }: Layout, name: string): string | undefined {
  const top = boot === '' ? join(root, '..') : root;
  try {
    const place = real(top, `/etc/${name}`);
    return place === undefined || !lstatSync(place).isFile() ? undefined : readFileSync(place, 'utf8').slice(0, 2 ** 20);
  } catch (error) {
    if (refusalOf(error, name)) return undefined;
    throw error;
  }
}
