import { readdirSync, readFileSync, statSync } from 'node:fs';
import type { LegacyDevice } from './menu/legacy.ts';
import { deviceNumbers } from './read.ts';

/** What a mounted folder is mounted from, and what that is to a loader: Linux's own tables. */

/** A mounted file system. */
export interface Mount {
  /** The device's file. */
  source: string;
  /** As Linux calls the file system. */
  type: string;
  /** What it is to a loader: by number of the disk and partition; undefined where no disk of a Xen guest is under it. */
  device: LegacyDevice | undefined;
}

/** One line of /proc/self/mountinfo (proc(5)). */
export function parseMountInfo(text: string): { numbers: string; root: string; point: string; type: string; source: string }[] {
  const plain = (field = '') => field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const dash = fields.indexOf('-');
    if (dash < 6) return [];
    return [
      {
        numbers: fields[2] ?? '',
        root: plain(fields[3]),
        point: plain(fields[4]),
        type: fields[dash + 1] ?? '',
        source: plain(fields[dash + 2]),
      },
    ];
  });
}

const read = (path: string) => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
};

/** Numbers of the guest's disks in the loader's order: by the number of their virtual device, which Linux's minor has. */
export function xenDisks(): string[] {
  try {
    return readdirSync('/sys/block')
      .filter((name) => /^xvd/.test(name))
      .map((name) => ({ name, minor: Number(read(`/sys/block/${name}/dev`)?.split(':')[1] ?? 0) }))
      .sort((a, b) => a.minor - b.minor)
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

/** A block device in the loader's words. */
function deviceOf(numbers: string): LegacyDevice | undefined {
  const event = read(`/sys/dev/block/${numbers}/uevent`);
  const name = event === undefined ? undefined : /^DEVNAME=(.*)$/m.exec(event)?.[1];
  if (name === undefined) return undefined;
  // Part of a disk without being a partition to Linux: which one it is does not stand there.
  if (name.startsWith('dm-') || Number(read(`/sys/dev/block/${numbers}/loop/offset`) ?? 0) > 0) return undefined;
  const partition = read(`/sys/dev/block/${numbers}/partition`);
  const parent = partition === undefined ? name : name.replace(/p?\d+$/, '');
  const disk = Math.max(0, xenDisks().indexOf(parent));
  return { disk, ...(partition === undefined ? {} : { partition: Number(partition) - 1 }) };
}

/**
 * The disk that a mounted device lies on, as a domain's configuration would name it: the device itself without its
 * partition, or the file behind a loop device.
 */
export function diskUnder(source: string): string {
  const name = source.replace(/^\/dev\//, '');
  const whole = read(`/sys/class/block/${name}/partition`) === undefined ? name : name.replace(/p?\d+$/, '');
  return read(`/sys/class/block/${whole}/loop/backing_file`) ?? `/dev/${whole}`;
}

/** What a folder's file system is mounted from; undefined where that is no block device (overlay, network, memory). */
export function mountOf(folder: string): Mount | undefined {
  const { dev } = statSync(folder);
  const numbers = deviceNumbers(dev);
  const entry = parseMountInfo(read('/proc/self/mountinfo') ?? '').find((one) => one.numbers === numbers && one.source.startsWith('/dev/'));
  return entry && { source: entry.source, type: entry.type, device: deviceOf(numbers) };
}
