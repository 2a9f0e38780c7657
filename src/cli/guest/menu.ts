import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { printable, UsageError } from '../../errors.ts';
import { BootFiles } from '../../guest/check/boot-files.ts';
import { checkLegacyMenu } from '../../guest/check/legacy.ts';
import { findingText } from '../../guest/check/report.ts';
import { type Domain, menuOf } from '../../guest/domain/domain.ts';
import { readDomain } from '../../guest/domain/read.ts';
import { etcBeside, layoutOf } from '../../guest/folder.ts';
import { deviceMapText } from '../../guest/menu/device-map.ts';
import { deviceText, type LegacyDevice, MAX_MENU } from '../../guest/menu/legacy.ts';
import { type BootPlace, bootPlace, etcOf, kernelOptions, type ReadEtc, systemName, textAt } from '../../guest/menu/target.ts';
import { freshMenu, type MenuPlan, repairedMenu } from '../../guest/menu/write.ts';
import { diskUnder, mountOf, xenDisks } from '../../guest/mount.ts';
import { openGuest } from '../../guest/open.ts';
import { decoded, type Encoding } from '../../guest/text.ts';
import { contentOf, type Volume } from '../../guest/volume.ts';
import { statOf } from '../../util/files.ts';
import { type ChangedFile, demandOneWay, giveOut, type OutputOptions } from './changes.ts';
import { deviceOption } from './check.ts';

/** Options of `pvgrub guest menu`. */
export interface MenuOptions extends OutputOptions {
  domain?: string;
  device?: string;
  kopt?: string;
  timeout: string;
}

/** Linux's names of the guest's disks: as the domain has them, or as they are here, or by what the kernel is told. */
function linuxDisks(domain: Domain | undefined, device: LegacyDevice, kopt: string): string[] {
  if (domain && domain.disks.length > 0) return domain.disks.map(({ vdev }) => `/dev/${vdev}`);
  const here = xenDisks();
  if (here.length > 0) return here.map((name) => `/dev/${name}`);
  const root = /(?:^|\s)root=(\/dev\/xvd[a-z]+)(\d*)/.exec(kopt);
  // A file system on the whole of a "disk" xvda1: that name is the disk's.
  return [root ? `${root[1]}${device.partition === undefined ? root[2] : ''}` : '/dev/xvda'];
}

/** What a mounted folder is to the loader, by the domain's disks: it counts all of them. */
async function deviceIn(domain: Domain | undefined, folder: string): Promise<LegacyDevice | undefined> {
  const mount = domain && (await statOf(folder))?.isDirectory() ? mountOf(layoutOf(folder).root) : undefined;
  if (domain === undefined || mount === undefined) return undefined;
  const under = diskUnder(mount.source);
  const real = (path: string | undefined) => (path === undefined ? undefined : realpath(path).catch(() => path));
  const targets = await Promise.all(domain.disks.map(({ target }) => real(target)));
  const disk = targets.findIndex((target) => target === under || target === mount.source);
  return disk < 0 ? undefined : { ...mount.device, disk };
}

/** What the domain told a kernel of dom0; undefined where it boots through a loader already. */
const oldArguments = (domain: Domain | undefined) =>
  domain === undefined || domain.commandLine === '' || menuOf(domain) ? undefined : domain.commandLine;

function planOf(place: BootPlace, etc: ReadEtc, domain: Domain | undefined, options: MenuOptions): MenuPlan {
  const { volume, boot, kernels } = place;
  const kopt = options.kopt ?? kernelOptions(place, etc, oldArguments(domain));
  if (kopt === undefined)
    throw new UsageError('OPTION_INVALID', 'it is not known what the root file system is called in the guest', {
      hint: "say what kernels are told: --kopt 'root=/dev/xvda1 ro console=hvc0'; or --domain <config>, which may have it",
    });
  const timeout = Number(options.timeout);
  if (!Number.isInteger(timeout) || timeout < 0 || timeout > 3600)
    throw new UsageError('OPTION_INVALID', `--timeout ${options.timeout} is no number of seconds`);
  return {
    device: volume.device,
    boot,
    kernels,
    kopt,
    system: systemName(etc),
    timeout,
    exists: (path) => volume.find(path).state === 'found',
  };
}

/** `pvgrub guest menu`: a right menu.lst and device.map from what is in /boot. Shows what would change unless it is to write. */
export async function menuCommand(where: string[], options: MenuOptions): Promise<void> {
  demandOneWay(options);
  const domain = options.domain === undefined ? undefined : (await readDomain(options.domain)).domain;
  const device = deviceOption(options.device) ?? (where.length === 1 ? await deviceIn(domain, where[0] as string) : undefined);
  using guest = openGuest(where, device);
  const place = bootPlace(guest.disks);
  const { volume, boot } = place;
  const folder = where[guest.disks.findIndex(({ volumes }) => volumes.includes(volume))] as string;
  const mounted = (await statOf(folder))?.isDirectory() ?? false;
  if (options.write && !mounted)
    throw new UsageError('OPTION_INVALID', `${folder} is a disk, and disks are never written to`, {
      hint: `mount it, and give the folder:\nmount -o loop ${folder} /mnt && pvgrub guest menu /mnt --device '${volume.name}' --write; umount /mnt`,
    });
  const layout = mounted ? layoutOf(folder) : undefined;
  const root = layout?.root ?? '';
  const inside = etcOf(guest.disks.flatMap(({ volumes }) => volumes));
  const plan = planOf(place, (name) => inside(name) ?? (layout && etcBeside(layout, name)), domain, options);
  const file = (name: string, after: (before: string | undefined) => string): ChangedFile => {
    const { text: before, encoding } = wholeText(volume, name) ?? {};
    return {
      path: mounted ? join(root, name) : `${volume.name}${name}`,
      before,
      after: after(before),
      ...(encoding === undefined ? {} : { encoding }),
      ...(mounted ? { within: root } : {}),
    };
  };
  // grub.conf alone: that is the menu.
  const names = ['menu.lst', 'grub.conf'].map((name) => `${boot}/grub/${name}`);
  const name = names.find((path) => textAt(volume, path) !== undefined) ?? (names[0] as string);
  const menu = file(name, (before) => (before === undefined || before.trim() === '' ? freshMenu(plan) : repairedMenu(before, plan)));
  const map = file(`${boot}/grub/device.map`, () => deviceMapText(linuxDisks(domain, volume.device, plan.kopt)));
  await giveOut([menu, map], options);
  const left = findingsOf(
    menu.after,
    name,
    guest.disks.flatMap(({ volumes }) => volumes),
    volume,
  );
  if (left !== '') process.stderr.write(`pvgrub: what is left to do by hand:\n${printable(left)}\n`);
  process.stderr.write(
    `pvgrub: the domain's extra = "${deviceText(volume.device)}${name}"${guest.disks.some(({ guessed, volumes }) => guessed && volumes.includes(volume)) ? '; the device is a guess: --device says which it is' : ''}\n`,
  );
}

/** A file to be changed: whole, or not at all. @throws UsageError FILE_UNREADABLE */
function wholeText(volume: Volume, path: string): { text: string; encoding: Encoding } | undefined {
  const found = volume.find(path);
  const bytes = contentOf(found, MAX_MENU);
  const whole = found.state === 'found' && bytes?.length === found.file.size;
  if (found.state === 'absent' || (bytes && whole)) return bytes && decoded(bytes);
  throw new UsageError('FILE_UNREADABLE', `${volume.name}${path} cannot be read whole`, {
    expected: `a file of ${MAX_MENU} bytes at the most`,
    hint: 'look what it is: ls -l, file',
  });
}

/** What the checks say of the new menu. */
function findingsOf(text: string, path: string, volumes: readonly Volume[], home: Volume): string {
  const bytes = Buffer.from(text);
  const file = { path, id: path, kind: 'file', size: bytes.length, read: () => bytes } as const;
  const { findings } = checkLegacyMenu(
    { name: `${home.name}${path}`, volume: home, found: { state: 'found', file } },
    new BootFiles(volumes),
  );
  return findings.map(findingText).join('\n');
}
