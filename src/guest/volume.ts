import type { Area } from './disk/area.ts';
import { Damaged } from './disk/area.ts';
import { ExtFiles, Hidden } from './disk/ext-read.ts';
import { type Content, identify } from './disk/identify.ts';
import { type PartitionTable, partitionTable } from './disk/partitions.ts';
import type { FileOnDisk } from './loader.ts';
import { deviceText, type LegacyDevice } from './menu/legacy.ts';

/** A guest's disks as a loader sees them: volumes, and files on them. Pure but for what reads them. */

/** A file that was found. */
export interface GuestFile {
  path: string;
  /** The same for all names of one file. */
  id: string;
  kind: 'file' | 'folder' | 'link' | 'other';
  /** Bytes. */
  size: number;
  /** Its first bytes. */
  read(limit: number): Buffer;
  /** How it is stored; undefined for a file of a mounted folder. */
  stored?: FileOnDisk;
}

/** What became of looking for a file. */
export type Lookup = { state: 'found'; file: GuestFile } | { state: 'absent' } | { state: 'unknown'; why: string };

/** A file system, or what stands in its place. */
export interface Volume {
  /** As GRUB 0.97 calls it: "(hd0,0)". */
  name: string;
  device: LegacyDevice;
  table: PartitionTable['kind'];
  content: Content;
  /** Its files can be looked at. */
  open: boolean;
  /** Never throws for what is on the disk. */
  find(path: string): Lookup;
  /** Names in a folder; empty where there is none. */
  list(path: string): string[];
}

/** A disk with its volumes. */
export interface GuestDisk {
  /** What the user called it. */
  name: string;
  /** Bytes. */
  size: number;
  table: PartitionTable['kind'];
  faults: string[];
  volumes: Volume[];
  /** What its file system is to a loader is assumed, not seen. */
  guessed?: boolean;
}

/** Run a look at a damaged or unreadable file system: what is wrong becomes an answer. */
function attempt<T>(work: () => T, otherwise: (why: string) => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Damaged || error instanceof Hidden) return otherwise(error.message);
    throw error;
  }
}

/** A volume of a disk: files of ext2, ext3 and ext4 can be looked at. */
export function diskVolume(area: Area, device: LegacyDevice, table: PartitionTable['kind']): Volume {
  const content = identify(area);
  const name = deviceText(device);
  const files = content.ext ? new ExtFiles(area, content.ext) : undefined;
  const find = (path: string): Lookup => {
    if (!files) return { state: 'unknown', why: `files of ${content.type} are not looked at` };
    return attempt<Lookup>(
      () => {
        const found = files.find(path);
        if (!found) return { state: 'absent' };
        const { node, through, links } = found;
        const holes =
          node.kind === 'file' &&
          attempt(
            () => files.hasHoles(node),
            () => false,
          );
        const far =
          node.kind === 'file' &&
          attempt(
            () => files.farBlock(node) !== undefined,
            () => false,
          );
        const stored = { path, through, links, holes, far };
        return {
          state: 'found',
          file: { path, id: `${name}:${node.number}`, kind: node.kind, size: node.size, read: (limit) => files.read(node, limit), stored },
        };
      },
      (why) => ({ state: 'unknown', why }),
    );
  };
  const list = (path: string): string[] =>
    attempt(
      () => {
        const found = files?.find(path);
        return files && found?.node.kind === 'folder'
          ? [...files.list(found.node).keys()].filter((name) => name !== '.' && name !== '..')
          : [];
      },
      () => [],
    );
  return { name, device, table, content, open: files !== undefined, find, list };
}

/** What a volume can hold that a loader could boot from, or that says why not. */
const worthNaming = ({ content }: Volume) => content.type !== 'empty' && content.type !== 'unknown';

/**
 * A disk's volumes. A whole disk with a partition table may hold the remains of a file system, too: it is named where
 * there is one that can be read.
 * @param number the disk's, from 0: GRUB counts by the number of the guest's virtual device
 */
export function guestDisk(area: Area, name: string, number: number): GuestDisk {
  const { kind, partitions, faults } = partitionTable(area);
  const whole = diskVolume(area, { disk: number }, kind === 'gpt' ? 'none' : kind);
  const inside = partitions.map((part) => diskVolume(area.part(part.start, part.size), { disk: number, partition: part.number - 1 }, kind));
  const volumes = kind === 'none' ? [whole] : [...inside, ...(whole.open && worthNaming(whole) ? [whole] : [])];
  return { name, size: area.size, table: kind, faults, volumes };
}

/** A file's bytes where it can be read whole within the limit; undefined otherwise. */
export function contentOf(found: Lookup, limit: number): Buffer | undefined {
  if (found.state !== 'found' || found.file.kind !== 'file') return undefined;
  return attempt<Buffer | undefined>(
    () => found.file.read(limit),
    () => undefined,
  );
}
