import { basename, join } from 'node:path';
import { printable, UsageError } from '../../errors.ts';
import { checkGuest, type GuestReport, type LoaderVerdict } from '../../guest/check/check.ts';
import { type Suited, suitedLoader } from '../../guest/check/suits.ts';
import type { BootThrough } from '../../guest/domain/domain.ts';
import { type DomainFile, readDomain, rewriteDomain } from '../../guest/domain/read.ts';
import type { LoaderKind } from '../../guest/loader.ts';
import { bootPlace } from '../../guest/menu/target.ts';
import { openGuest } from '../../guest/open.ts';
import { bootFolder, runningXen } from '../../pull/host.ts';
import { statOf } from '../../util/files.ts';
import { demandOneWay, giveOut, type OutputOptions } from './changes.ts';
import { type LoaderOptions, loadersOf } from './check.ts';

/** Options of `pvgrub guest domain`. */
export interface DomainOptions extends OutputOptions, LoaderOptions {
  disk?: string[];
  menu?: string;
  kernel?: string;
  root: string;
}

const say = (text: string) => process.stderr.write(`pvgrub: ${printable(text)}\n`);

/** The guest's disks that are at hand here, in its order: those named, else those of the configuration. */
export async function disksAtHand({ path, domain }: DomainFile, named: readonly string[] | undefined): Promise<(string | undefined)[]> {
  if (named) {
    const disks: (string | undefined)[] = domain.disks.map(() => undefined);
    for (const text of named) {
      const [, vdev, disk = text] = /^([a-z]+\d*)=(.+)$/.exec(text) ?? [];
      const at = domain.disks.findIndex((one) => (vdev === undefined ? basename(one.target ?? '') === basename(disk) : one.vdev === vdev));
      if (at < 0 && disks.length > named.length)
        throw new UsageError('OPTION_INVALID', `which of the guest's disks ${disk} is, is not clear`, {
          got: domain.disks.map(({ vdev: name, target }) => `${name}: ${target}`).join(', '),
          hint: `--disk ${domain.disks[0]?.vdev}=${disk}`,
        });
      disks[at < 0 ? named.indexOf(text) : at] = disk;
    }
    return disks;
  }
  return Promise.all(
    domain.disks.map(async ({ target, format, vdev }) => {
      const there = target?.startsWith('/') && (await statOf(target)) !== undefined;
      if (there && format === 'raw') return target;
      say(`${path}: disk ${vdev} is not looked at: ${there ? `it is of format ${format}` : `there is no ${target ?? 'file'} here`}`);
      return undefined;
    }),
  );
}

/** What the disks say of loaders. */
function look(
  disks: readonly (string | undefined)[],
  loaders: readonly LoaderKind[],
): { report: GuestReport; menu: string | undefined } | undefined {
  if (disks.every((disk) => disk === undefined)) return undefined;
  using guest = openGuest(disks);
  const report = checkGuest(guest.disks, loaders);
  // Where the menu will be, once it is there.
  let menu: string | undefined;
  try {
    const { volume, boot } = bootPlace(guest.disks);
    menu = `${volume.name}${boot}/grub/menu.lst`;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
  return { report, menu };
}

/** The loader to write down: the one that suits; where none boots the guest yet, the newest of those with the least in their way. */
function choose(report: GuestReport): Suited | { verdict: LoaderVerdict; why: undefined } {
  const suited = suitedLoader(report);
  if (suited) return suited;
  const least = Math.min(...report.verdicts.map(({ obstacles }) => obstacles.length));
  // The catalog has the newest last.
  const candidates = report.verdicts.filter(({ obstacles }) => obstacles.length === least);
  return {
    verdict: (candidates.findLast(({ loader }) => loader.loader === 'pv-grub') ?? candidates.at(-1)) as LoaderVerdict,
    why: undefined,
  };
}

/** Where dom0 has a loader's image: where it was found, or where `pvgrub pull --install` puts it. */
async function kernelPath({ file }: LoaderKind, root: string): Promise<string> {
  if (file.startsWith('/')) return file;
  const folder = await bootFolder(root, await runningXen(root)).catch(() => '/usr/lib/xen/boot');
  return join(folder, file);
}

/** What a chosen loader is told: the menu for pv-grub; pvgrub2 finds a grub.cfg by itself. */
function menuFor({ loader, menu }: LoaderVerdict, report: GuestReport, fallback: string | undefined): string | undefined {
  const kind = report.menus.find(({ name }) => name === menu)?.kind;
  if (loader.loader === 'pvgrub2') return kind === 'legacy' ? menu : undefined;
  return menu ?? fallback;
}

/** `pvgrub guest domain`: a domain's configuration that boots through a loader. Shows what would change unless it is to write. */
export async function domainCommand(config: string, options: DomainOptions): Promise<void> {
  demandOneWay(options);
  const file = await readDomain(config);
  if (file.domain.type === 'hvm')
    throw new UsageError('DOMAIN_INVALID', `${config} is an HVM guest: its firmware boots it from its own disk, no PV loader does`, {
      expected: 'a PV or PVH guest',
      hint: 'leave it as it is; or make it PV (type = "pv") if its kernel can',
    });
  const loaders = await loadersOf(options);
  const seen = look(await disksAtHand(file, options.disk), loaders);
  const through = await decide(file, seen, loaders, options);
  await giveOut([{ path: config, before: file.text, after: rewriteDomain(file, through), encoding: file.encoding }], options);
}

async function decide(
  { path, domain }: DomainFile,
  seen: ReturnType<typeof look>,
  loaders: readonly LoaderKind[],
  { menu, kernel, root }: DomainOptions,
): Promise<BootThrough> {
  if (seen === undefined && (menu === undefined || loaders.length > 1))
    throw new UsageError('OPTION_INVALID', `none of the disks of ${path} is at hand, so which loader and menu it needs is not known`, {
      got: domain.disks.map(({ vdev, target }) => `${vdev}: ${target}`).join(', ') || 'no disk',
      hint: "run it where the disks are, or name them: --disk guest.img; or say both yourself: --image <loader> --menu '(hd0)/boot/grub/menu.lst'",
    });
  const { verdict, why } = seen
    ? choose(seen.report)
    : { verdict: { loader: loaders[0] as LoaderKind, ok: false, menu, obstacles: [] }, why: undefined };
  const { loader, obstacles } = verdict;
  if (why !== undefined) say(`${loader.name}: ${why}`);
  else
    for (const { where, what, hint } of obstacles)
      say(`${loader.name} does not boot it yet: ${where}: ${what}${hint ? `\n  try: ${hint}` : ''}`);
  const told = menu ?? (seen ? menuFor(verdict, seen.report, seen.menu) : undefined);
  if (loader.loader === 'pv-grub' && told === undefined)
    throw new UsageError('OPTION_INVALID', 'where the menu is, or will be, is not known', { hint: "--menu '(hd0)/boot/grub/menu.lst'" });
  return { kernel: kernel ?? (await kernelPath(loader, root)), menu: told, type: loader.arch === 'x86_32_pvh' ? 'pvh' : 'pv' };
}
