import {
  deviceText,
  HARMLESS,
  LEGACY_COMMANDS,
  type LegacyDevice,
  type LegacyMenu,
  MAX_LINE,
  type MenuEntry,
  parseDevice,
  parseLegacyMenu,
  splitPath,
} from '../menu/legacy.ts';
import { contentOf, type Volume } from '../volume.ts';
import type { BootFile, BootFiles } from './boot-files.ts';
import { argumentFindings, type Boot, type CheckedMenu, missing } from './entry.ts';
import type { Finding } from './finding.ts';

/** Checks of menu.lst: what pv-grub would do with it, line by line. Pure. */

const MAX_MENU = 256 * 1024;

interface Context {
  files: BootFiles;
  /** The volume that the menu is on. */
  home: Volume;
  at: (line: number) => string;
  findings: Finding[];
}

/** What `root` names: a volume, or why it is none. */
function rootVolume({ files, home }: Context, argument: string): Volume | { what: string; hint: string; open?: true } {
  const [text = ''] = argument.split(' ');
  const device = parseDevice(text);
  const names = files.volumes.map(({ name }) => name).join(', ');
  const volume = device && files.volumes.find(({ name }) => name === deviceText(device));
  if (volume && ['swap', 'empty', 'unknown'].includes(volume.content.type))
    return {
      what: `root ${text}: ${volume.content.type === 'swap' ? 'that is swap' : 'there is no file system'}`,
      hint: `root ${home.name}, where the menu is`,
    };
  if (volume) return volume;
  if (device) return { what: `root ${text}: there is no such volume`, hint: fitting(files.volumes, device) ?? `there are ${names}` };
  if (text.includes('/dev/'))
    return {
      what: `root ${text}: that is a name of Linux, and the loader knows only its own (update-grub writes so where device.map lacks the disk)`,
      hint: `root ${home.name}; "# groot=" has the same for update-grub (pvgrub guest menu does both)`,
    };
  if (/^\((nd|cd|fd\d+|hd\d+,(\d+,)?[a-p])\)$/.test(text))
    return { what: `root ${text}: that is not looked at here`, hint: 'pvgrub guest try shows what comes of it', open: true };
  return { what: `root ${text || 'without a device'}: that is no device of the loader`, hint: `there are ${names}` };
}

/** The volume that is probably meant by a device that is not there: with or without a partition. */
function fitting(volumes: readonly Volume[], { disk, partition }: LegacyDevice): string | undefined {
  const whole = volumes.find(({ device }) => device.disk === disk && device.partition === undefined);
  if (partition !== undefined && whole) return `the file system is on the whole disk: root ${whole.name}`;
  const first = volumes.find(({ device }) => device.disk === disk);
  return first && partition === undefined ? `the disk has partitions, counted from 0: root ${first.name}` : undefined;
}

/** The volume and path of a file argument: "(hd0,0)/boot/vmlinuz" or "/boot/vmlinuz". */
function place(context: Context, text: string, root: Volume): BootFile | undefined {
  const { device, path } = splitPath(text);
  const volume = device === undefined ? root : context.files.volumes.find(({ name }) => name === device);
  return volume && path.startsWith('/') ? context.files.at(volume, path) : undefined;
}

/** Commands that stand on a line with another. */
const TOGETHER = /(?:^|\s)(?:(root|rootnoverify)\s+\(|(kernel|initrd|module)\s+[(/])/;

/** Two commands on one line: the loader sees one. */
function joined({ command, argument }: { command: string; argument: string }): string | undefined {
  if (!['title', 'root', 'kernel', 'initrd', 'module'].includes(command)) return undefined;
  const match = TOGETHER.exec(argument);
  return match ? (match[1] ?? match[2]) : undefined;
}

function entryBoot(context: Context, entry: MenuEntry): Boot | undefined {
  const { at, findings } = context;
  const error = (line: number, what: string, hint?: string) =>
    void findings.push({ level: 'error', where: at(line), what, ...(hint === undefined ? {} : { hint }) });
  let root = context.home;
  let kernel: { file: BootFile; args: string; line: number } | undefined;
  const initrds: BootFile[] = [];
  let lost = false;
  for (const { line, command, argument } of [{ line: entry.line, command: 'title', argument: entry.title }, ...entry.commands]) {
    const both = joined({ command, argument });
    if (both !== undefined) {
      error(
        line,
        `"${both}" stands on the line of "${command}", where it is not seen as a command`,
        'title, root, kernel and initrd each want a line of their own',
      );
      lost = true;
    }
    if (command === 'root' || command === 'rootnoverify') {
      const found = rootVolume(context, argument);
      // "root=/dev/xvda1" at the start of a line is taken for the command. What else is wrong is looked for on this volume.
      if ('what' in found && found.open) {
        findings.push({ level: 'warning', where: at(line), what: found.what, hint: found.hint });
        lost = true;
      } else if ('what' in found) error(line, found.what, found.hint);
      else root = found;
    } else if (command === 'kernel' || command === 'initrd' || command === 'module' || command === 'modulenounzip') {
      const words = argument.split(/ +/).filter((word) => !/^--(type|no-mem-option)/.test(word));
      const [path = ''] = words;
      const file = place(context, path, root);
      if (!file) {
        error(
          line,
          `${command} ${path || 'without a path'}: ${path.startsWith('(') ? 'there is no such volume' : 'a path begins with "/", or with a volume such as (hd0)/'}`,
        );
        lost = true;
      } else if (command === 'kernel') kernel = { file, args: words.slice(1).join(' '), line };
      else initrds.push(file);
    } else if (command !== 'title' && !LEGACY_COMMANDS.has(command) && !HARMLESS.has(command)) {
      findings.push({
        level: 'warning',
        where: at(line),
        what: `"${command}" is no command of the loader: the line is skipped`,
        hint: 'a line that goes on ends with "\\", or is one line',
      });
    }
  }
  if (lost || !kernel) return undefined;
  return { title: entry.title, where: at(kernel.line), kernel: kernel.file, initrds, args: kernel.args };
}

const lastOf = (menu: LegacyMenu, command: string) => menu.global.findLast((line) => line.command === command);

/** The entry that is booted when nobody presses a key. */
function chosenEntry(context: Context, menu: LegacyMenu): number {
  const line = lastOf(menu, 'default');
  const value = line?.argument ?? '0';
  if (value === 'saved') {
    const saved = contentOf(context.home.find('/boot/grub/default'), 64) ?? contentOf(context.home.find('/grub/default'), 64);
    const number = Number(/^\d{1,4}/.exec(saved?.toString('latin1') ?? '')?.[0] ?? 0);
    return number < menu.entries.length ? number : 0;
  }
  const number = Number(value);
  if (line && !(Number.isInteger(number) && number >= 0 && number < menu.entries.length)) {
    context.findings.push({
      level: 'error',
      where: context.at(line.line),
      what: `default ${value}: there are ${menu.entries.length} entries, counted from 0`,
      hint: 'default 0',
    });
    return -1;
  }
  return number;
}

/** What of lines is too long, or lost. */
function lineFindings(context: Context, menu: LegacyMenu): void {
  const { at, findings } = context;
  for (const { line, command, argument } of [...menu.global, ...menu.entries.flatMap((entry) => entry.commands)]) {
    if (command.length + argument.length > MAX_LINE)
      findings.push({ level: 'error', where: at(line), what: `the line is longer than ${MAX_LINE} characters: the loader cuts it` });
  }
  for (const { line, command } of menu.global) {
    if (['kernel', 'initrd', 'root', 'module'].includes(command))
      findings.push({
        level: 'warning',
        where: at(line),
        what: `"${command}" stands before the first title: it is run when the menu is read, and belongs to no entry`,
      });
  }
  for (const entry of menu.entries)
    if (entry.commands.length === 0)
      findings.push({ level: 'warning', where: at(entry.line), what: `"${entry.title}" has no commands: the loader leaves it out` });
}

/** Check a menu.lst or grub.conf. */
export function checkLegacyMenu(file: BootFile, files: BootFiles): CheckedMenu {
  const text = contentOf(file.found, MAX_MENU)?.toString('utf8');
  const menu = parseLegacyMenu(text ?? '');
  const findings: Finding[] = [];
  const context: Context = { files, home: file.volume, at: (line) => `${file.name}:${line}`, findings };
  lineFindings(context, menu);
  // An entry without commands is none to the loader.
  const real = { ...menu, entries: menu.entries.filter(({ commands }) => commands.length > 0) };
  if (text === undefined) findings.push({ level: 'error', where: file.name, what: 'its content cannot be read here' });
  else if (real.entries.length === 0)
    findings.push({
      level: 'error',
      where: file.name,
      what: 'it has no entry: the loader shows its prompt',
      hint: 'pvgrub guest menu writes one from what is in /boot',
    });
  const index = real.entries.length === 0 ? -1 : chosenEntry(context, real);
  const timeout = lastOf(menu, 'timeout');
  if (real.entries.length > 0 && timeout === undefined)
    findings.push({
      level: 'warning',
      where: file.name,
      what: 'it has no timeout: the menu waits for a key',
      hint: 'timeout 5, before the first title',
    });
  const boots = real.entries.map((entry, i) => {
    const before = findings.length;
    const boot = entryBoot(context, entry);
    // What is wrong with an entry that is not booted by itself is not in the way.
    if (i !== index) for (const finding of findings.slice(before)) finding.level = 'warning';
    if (
      !boot &&
      findings.length === before &&
      !entry.commands.some(
        ({ command }) => command === 'configfile' || command === 'chainloader' || command === 'halt' || command === 'reboot',
      )
    )
      findings.push({ level: i === index ? 'error' : 'warning', where: context.at(entry.line), what: `"${entry.title}" names no kernel` });
    if (boot) findings.push(...missing(boot, i === index ? 'error' : 'warning'), ...(i === index ? argumentFindings(boot, files) : []));
    return boot;
  });
  const chosen = real.entries[index];
  return {
    name: file.name,
    kind: 'legacy',
    file,
    entries: real.entries.length,
    chosen: chosen && { index, title: chosen.title },
    timeout: timeout === undefined ? undefined : Number(timeout.argument) || 0,
    boot: boots[index],
    others: boots.flatMap((boot, i) => (boot && i !== index ? [boot] : [])),
    findings,
  };
}
