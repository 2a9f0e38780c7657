import { INCOMPAT } from '../disk/ext-super.ts';
import { kernelObstacle } from '../kernel.ts';
import { contentObstacle, fileObstacle, type LoaderKind, type Obstacle, SMALL_BOOT, tableObstacle } from '../loader.ts';
import { parseDeviceMap } from '../menu/device-map.ts';
import { contentOf, type GuestDisk, type Volume } from '../volume.ts';
import { type BootFile, BootFiles, fileOf } from './boot-files.ts';
import type { CheckedMenu } from './entry.ts';
import type { Finding } from './finding.ts';
import { checkGrub2Menu } from './grub2.ts';
import { checkLegacyMenu } from './legacy.ts';

/** Whether a guest's disks boot through a loader, and what stands in the way. Pure. */

/** What a loader would do with the guest. */
export interface LoaderVerdict {
  loader: LoaderKind;
  ok: boolean;
  /** The menu that it would show: the domain's `extra` for pv-grub. */
  menu: string | undefined;
  /** What stands in the way; where nothing does, what may. */
  obstacles: (Obstacle & { where: string })[];
}

/** Everything that was found. */
export interface GuestReport {
  disks: readonly GuestDisk[];
  menus: CheckedMenu[];
  findings: Finding[];
  verdicts: LoaderVerdict[];
}

/** Where menus are, in the order in which pvgrub2 looks (loaders/pvgrub2/grub.cfg). */
const FOLDERS = ['/boot/grub', '/grub', '/boot/grub2', '/grub2'];

/** Menus of all volumes that can be looked at. */
function menusOf(files: BootFiles): CheckedMenu[] {
  return files.volumes.flatMap((volume) => {
    const there = (name: string) =>
      FOLDERS.map((folder) => files.at(volume, `${folder}/${name}`)).filter((file) => fileOf(file) !== undefined);
    // grub.conf is often the same file as menu.lst, by a link.
    const legacy = unique([...there('menu.lst'), ...there('grub.conf')]).map((file) => checkLegacyMenu(file, files));
    return [...legacy, ...unique(there('grub.cfg')).map((file) => checkGrub2Menu(file, files))];
  });
}

/** Each file once, however many names lead to it. */
function unique(list: readonly BootFile[]): BootFile[] {
  const ids = list.map((file) => fileOf(file)?.id);
  return list.filter((_, i) => ids.indexOf(ids[i]) === i);
}

/** What of device.map will not do: update-grub takes `root` from it. */
function deviceMapFindings(files: BootFiles): Finding[] {
  return files.volumes.flatMap((volume) =>
    FOLDERS.flatMap((folder): Finding[] => {
      const file = files.at(volume, `${folder}/device.map`);
      const text = contentOf(file.found, 64 * 1024)?.toString('latin1');
      if (text === undefined) return [];
      const { lines, bad } = parseDeviceMap(text);
      const warn = (line: number, what: string, hint?: string): Finding => ({
        level: 'warning',
        where: `${file.name}:${line}`,
        what,
        ...(hint ? { hint } : {}),
      });
      const right = 'pvgrub guest menu writes it anew';
      return [
        ...bad.map(({ line, text: content }) => warn(line, `"${content}" is no line of a device.map`, 'it is: (hd0) /dev/xvda')),
        ...lines.flatMap(({ line, drive }, i) =>
          lines.findIndex((other) => other.drive === drive) < i ? [warn(line, `${drive} is there twice`, right)] : [],
        ),
        ...lines.flatMap(({ line, device }, i) =>
          lines.findIndex((other) => other.device === device) < i ? [warn(line, `${device} is there twice`, right)] : [],
        ),
        ...lines.flatMap(({ line, device }) =>
          /^\/dev\/(sd|hd|vd|nvme|loop|mapper)/.test(device) ? [warn(line, `${device}: as a Xen guest it has xvda, xvdb …`, right)] : [],
        ),
        ...(lines.some(({ drive }) => drive === 'hd0') ? [] : [warn(1, 'it has no hd0', right)]),
      ];
    }),
  );
}

type Where = Obstacle & { where: string };

/** What stands between a loader and a file: table, file system, the file. */
function wayTo(loader: LoaderKind, { name, volume, found }: BootFile): Where[] {
  const place = (where: string, obstacle: Obstacle | undefined): Where[] => (obstacle ? [{ where, ...obstacle }] : []);
  const before = [
    ...place(volume.name, tableObstacle(loader, volume.table)),
    ...place(volume.name, contentObstacle(loader, volume.content)),
  ];
  if (before.length > 0) return before;
  const stored = found.state === 'found' ? found.file.stored : undefined;
  return stored ? place(name, fileObstacle(loader, stored)) : [];
}

/** What stands in a loader's way to boot by a menu; the menu's own errors, too. */
function obstaclesOf(loader: LoaderKind, menu: CheckedMenu, files: BootFiles): Where[] {
  const way = wayTo(loader, menu.file);
  if (way.length > 0) return way;
  const errors = menu.findings.filter(({ level }) => level === 'error').map(({ where, what, hint }) => ({ where, what, hint: hint ?? '' }));
  const { boot } = menu;
  if (!boot) {
    const open = { where: menu.name, what: 'what it boots cannot be told without booting it', hint: 'pvgrub guest try shows it' };
    return errors.length > 0 ? errors : [open];
  }
  const facts = files.kernel(boot.kernel);
  const kernel = facts ? kernelObstacle(loader, facts) : undefined;
  const ways = [boot.kernel, ...boot.initrds].flatMap((file) => wayTo(loader, file));
  return [...errors, ...ways, ...(kernel ? [{ where: boot.kernel.name, ...kernel }] : [])];
}

/** Menus that a loader can use, the likeliest first: pv-grub has menu.lst only, pvgrub2 prefers grub.cfg. */
function usable(loader: LoaderKind, menus: readonly CheckedMenu[]): CheckedMenu[] {
  const legacy = menus.filter(({ kind }) => kind === 'legacy');
  return loader.loader === 'pv-grub' ? legacy : [...menus.filter(({ kind }) => kind === 'grub2'), ...legacy];
}

/** What keeps a menu from being seen on a volume; undefined where it could be. */
function blindness({ name, open, content, find }: Volume): Where | undefined {
  if (content.type === 'empty' || content.type === 'unknown') return { where: name, what: 'there is no file system', hint: '' };
  if (!open)
    return {
      where: name,
      what: `files of ${content.type} are not looked at here, so no menu was seen`,
      hint: 'mount it and give the folder instead; or pvgrub guest try',
    };
  const look = find('/boot/grub/menu.lst');
  return look.state === 'unknown' ? { where: name, what: look.why, hint: SMALL_BOOT } : undefined;
}

/** Why there is no menu to be seen at all. */
function noMenu(loader: LoaderKind, volumes: readonly Volume[]): Where[] {
  // Swap is no place for a menu, and to say so of each would hide what matters.
  const candidates = volumes.filter(({ content }) => content.type !== 'swap');
  const reasons = candidates.flatMap((volume) => {
    const none = volume.content.fault === undefined && ['empty', 'unknown'].includes(volume.content.type);
    const obstacle = none ? undefined : (tableObstacle(loader, volume.table) ?? contentObstacle(loader, volume.content));
    return obstacle ? [{ where: volume.name, ...obstacle }] : (blindness(volume) ?? []);
  });
  const seen = candidates.filter((volume) => !reasons.some(({ where }) => where === volume.name)).map(({ name }) => name);
  if (candidates.length > 0 && seen.length === 0) return reasons;
  const legacy = loader.loader === 'pv-grub';
  const what = `there is no ${legacy ? 'menu.lst' : 'grub.cfg or menu.lst'}`;
  const hint = legacy
    ? 'pvgrub guest menu writes one; or use pvgrub2, which reads grub.cfg'
    : 'update-grub in the guest writes grub.cfg; pvgrub guest menu writes menu.lst';
  return [...reasons, { where: seen.join(', ') || 'the disk', what, hint }];
}

function verdictOf(loader: LoaderKind, menus: readonly CheckedMenu[], files: BootFiles): LoaderVerdict {
  const tries = usable(loader, menus).map((menu) => ({ menu: menu.name, obstacles: obstaclesOf(loader, menu, files) }));
  const good = tries.find(({ obstacles }) => obstacles.length === 0);
  const best = good ?? tries[0];
  if (!best) return { loader, ok: false, menu: undefined, obstacles: noMenu(loader, files.volumes) };
  return { loader, ok: good !== undefined, menu: best.menu, obstacles: best.obstacles };
}

/** What of the disks themselves deserves a word. */
function diskFindings(disks: readonly GuestDisk[]): Finding[] {
  return disks.flatMap(({ name, table, faults, volumes }) => [
    ...faults.map((what): Finding => ({ level: 'warning', where: name, what })),
    ...volumes.flatMap(({ name: where, content, device }): Finding[] => {
      const found: Finding[] =
        content.fault === undefined
          ? []
          : [{ level: 'error', where, what: `damaged: ${content.fault}`, hint: 'e2fsck -f on the unmounted file system' }];
      if (content.ext && content.ext.incompat & INCOMPAT.needs_recovery)
        found.push({
          level: 'warning',
          where,
          what: 'it was not unmounted: what its journal holds is not yet in place, and loaders read without it',
          hint: 'mount and unmount it once, or e2fsck it; a running guest always looks so',
        });
      if (table !== 'none' && device.partition === undefined)
        found.push({
          level: 'warning',
          where,
          what: `a file system on the whole disk, beside a partition table: remains of an earlier use?`,
          hint: 'what is meant has to be named: (hd0) or (hd0,0)',
        });
      return found;
    }),
  ]);
}

/**
 * Check a guest's disks for loaders.
 * @param disks in the order of the guest's virtual devices
 */
export function checkGuest(disks: readonly GuestDisk[], loaders: readonly LoaderKind[]): GuestReport {
  const files = new BootFiles(disks.flatMap(({ volumes }) => volumes));
  const menus = menusOf(files);
  return {
    disks,
    menus,
    findings: [...diskFindings(disks), ...menus.flatMap(({ findings }) => findings), ...deviceMapFindings(files)],
    verdicts: loaders.map((loader) => verdictOf(loader, menus, files)),
  };
}
