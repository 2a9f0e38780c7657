import { basename } from 'node:path';
import { UsageError } from '../../errors.ts';
import { contentOf, type GuestDisk, type Volume } from '../volume.ts';
import { parseGrub2Config } from './grub-cfg.ts';
import { type InstalledKernel, installedKernels } from './kernels.ts';
import { parseLegacyMenu } from './legacy.ts';
import { koptOf } from './write.ts';

/** Where a guest's kernels are, and what they were told so far. Pure. */

/** The place of /boot. */
export interface BootPlace {
  volume: Volume;
  /** "/boot", or "" where the volume is /boot itself. */
  boot: string;
  kernels: InstalledKernel[];
}

/** The volume with the kernels. @throws UsageError FILE_UNREADABLE where there are none */
export function bootPlace(disks: readonly GuestDisk[]): BootPlace {
  const places = disks.flatMap(({ volumes }) =>
    volumes.flatMap((volume) => ['/boot', ''].map((boot) => ({ volume, boot, kernels: installedKernels(volume.list(boot || '/')) }))),
  );
  // Kernels decide; a folder for the menu alone will do where there are none.
  const found =
    places.find(({ kernels }) => kernels.length > 0) ?? places.find(({ volume, boot }) => volume.list(`${boot}/grub`).length > 0);
  if (found) return found;
  throw new UsageError('FILE_UNREADABLE', `there is no kernel in ${disks.map(({ name }) => basename(name)).join(', ')}`, {
    expected: 'vmlinuz-<version> in /boot, or at the top of a file system that is /boot',
    got: disks.flatMap(({ volumes }) => volumes.map(({ name, content }) => `${name}: ${content.type}`)).join(', '),
    hint: 'install a kernel in the guest (Debian: linux-image-amd64); pvgrub guest check shows what is on the disk',
  });
}

/** Where in a volume a file's content is text; undefined where it is none. */
export function textAt(volume: Volume, path: string): string | undefined {
  return contentOf(volume.find(path), 2 ** 20)?.toString('utf8');
}

/** Reads a file of the guest's /etc; undefined where there is none. */
export type ReadEtc = (name: string) => string | undefined;

/** The /etc of the volume that has one: with a /boot of its own that is another one. */
export function etcOf(volumes: readonly Volume[]): ReadEtc {
  return (name) => volumes.map((volume) => textAt(volume, `/etc/${name}`)).find((text) => text !== undefined);
}

/** What of a command line belongs to one entry, or to a loader, and not to every kernel. */
function forAll(args: string): string {
  return args
    .split(/\s+/)
    .filter((word) => word !== '' && !/^(single|recovery|BOOT_IMAGE=.*|initrd=.*)$/.test(word))
    .join(' ');
}

/** The root file system as /etc/fstab has it. */
function fstabRoot(text: string | undefined): string | undefined {
  for (const line of text?.split('\n') ?? []) {
    const [device, point, type] = line.trim().split(/\s+/);
    if (device && !device.startsWith('#') && point === '/' && type !== undefined) return device;
  }
  return undefined;
}

/**
 * What kernels are to be told, by what the guest had so far: its menu's kopt, an entry of its menu, its grub.cfg,
 * its fstab, the file system itself. A console is added where there is none.
 * @param etc the text of a file of the guest's /etc, wherever its root is
 * @param old the domain's own `root=` and `extra`, from the time when it booted a kernel of dom0
 * @returns undefined where no root file system is known
 */
export function kernelOptions({ volume, boot }: BootPlace, etc: ReadEtc, old: string | undefined): string | undefined {
  const menu = textAt(volume, `${boot}/grub/menu.lst`) ?? textAt(volume, `${boot}/grub/grub.conf`) ?? '';
  const entry = parseLegacyMenu(menu).entries.flatMap(({ commands }) =>
    commands.filter(({ command, argument }) => command === 'kernel' && /\broot=/.test(argument)),
  )[0];
  const grub2 = parseGrub2Config(textAt(volume, `${boot}/grub/grub.cfg`) ?? '').entries.find(({ kernel }) => kernel !== undefined)?.kernel
    ?.args;
  const fstab = fstabRoot(etc('fstab'));
  const own = boot === '/boot' && volume.content.uuid !== undefined ? `UUID=${volume.content.uuid}` : undefined;
  const told = [old, koptOf(menu), entry?.argument.split(/\s+/).slice(1).join(' '), grub2]
    .map((args) => (args === undefined ? '' : forAll(args)))
    .find((args) => /(^|\s)root=/.test(args));
  const root = fstab ?? own;
  const options = told ?? (root === undefined ? undefined : `root=${root} ro`);
  if (options === undefined) return undefined;
  const ro = /(^|\s)r[ow](\s|$)/.test(options) ? options : `${options} ro`;
  return /(console|xencons)=/.test(ro) ? ro : `${ro} console=hvc0`;
}

/** The system's name for titles, by its /etc/os-release. */
export function systemName(etc: ReadEtc): string {
  const text = etc('os-release') ?? '';
  return /^NAME="?([^"\n]{1,60})"?$/m.exec(text)?.[1] ?? 'Linux';
}
