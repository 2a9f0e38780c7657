import { automagicPart, END, freshHead, headWith, options } from './automagic.ts';
import type { InstalledKernel } from './kernels.ts';
import { deviceText, LEGACY_COMMANDS, type LegacyDevice, MAX_LINE, parseDevice, parseLegacyMenu, splitPath } from './legacy.ts';

/** A right menu.lst, from what is in /boot; or one that is there, made right. Pure. */

/** What a menu is made from. */
export interface MenuPlan {
  device: LegacyDevice;
  /** /boot as the loader sees it: "/boot", or "" where it is a file system of its own. */
  boot: string;
  kernels: readonly InstalledKernel[];
  /** What kernels are told. */
  kopt: string;
  /** The system's name, for titles. */
  system: string;
  /** Seconds, where the menu has none. */
  timeout: number;
  /** Whether a file is there, by its path on that device. */
  exists: (path: string) => boolean;
}

/** Entries as update-grub writes them: one of each kernel, and one for single-user mode. */
function entries({ device, boot, kernels, kopt, system }: MenuPlan, settings: ReadonlyMap<string, string>): string[] {
  const more = settings.get('defoptions') ?? '';
  const howmany = Number(settings.get('howmany') ?? Number.NaN);
  const listed = Number.isInteger(howmany) ? kernels.slice(0, howmany) : kernels;
  return listed.flatMap(({ version, kernel, initrd }) => {
    const entry = (title: string, args: string) => [
      `title\t\t${system}, kernel ${version}${title}`,
      `root\t\t${deviceText(device)}`,
      `kernel\t\t${boot}/${kernel} ${args}`.trimEnd(),
      ...(initrd === undefined ? [] : [`initrd\t\t${boot}/${initrd}`]),
      '',
    ];
    const single = settings.get('alternative') === 'false' ? [] : entry(' (single-user mode)', `${kopt} single`);
    return [...entry('', [kopt, more].filter(Boolean).join(' ')), ...single];
  });
}

const OPTIONS = ({ device, kopt }: MenuPlan) =>
  new Map([
    ['kopt', kopt],
    ['groot', deviceText(device)],
  ]);

/** A menu where none was. */
export function freshMenu(plan: MenuPlan): string {
  const wanted = new Map([...OPTIONS(plan), ['defoptions', ''], ['alternative', 'true'], ['howmany', 'all']]);
  return [
    '# The menu of the boot loader. Entries of your own: before or after the part between the marks.',
    '',
    'default\t\t0',
    `timeout\t\t${plan.timeout}`,
    '',
    ...freshHead(wanted),
    '',
    ...entries(plan, wanted),
    END,
    '',
  ].join('\n');
}

/** Splits what stands on one line and has to stand on several: "title X root (hd0)", "kernel /a initrd /b". */
function apart(line: string): string[] {
  // The loader cuts it anyway.
  if (line.length > MAX_LINE) return [line];
  const match = /^(\s*(?:title|root|kernel|initrd|module)\b.*?)\s+((?:root|rootnoverify)\s+\(.*|(?:kernel|initrd|module)\s+[(/].*)$/.exec(
    line,
  );
  return match ? [match[1] as string, ...apart(match[2] as string)] : [line];
}

/** Commands of other loaders that stand alone on a line, with arguments of their own. */
const HARMLESS_LINE = /^\s*(serial|terminfo|gfxmenu)\s/;

/** A line that goes on with the kernel's arguments: no command of the loader, or "root=" with a path or UUID. */
function goesOn(line: string): boolean {
  const [, word = '', separator = ''] = /^\s*([^\s=]*)(=|\s|$)/.exec(line) ?? [];
  if (/^\s*(#|$)/.test(line)) return false;
  return (!LEGACY_COMMANDS.has(word) && !HARMLESS_LINE.test(line)) || (word === 'root' && separator === '=' && !/^\s*root=\(/.test(line));
}

/** Kernel lines that were broken in two are one again. */
function joined(lines: readonly string[]): string[] {
  const result: string[] = [];
  for (const line of lines) {
    const last = result.at(-1);
    if (last !== undefined && last.length < MAX_LINE && /^\s*kernel\b/.test(last) && !last.endsWith('\\') && goesOn(line))
      result[result.length - 1] = `${last.trimEnd()} ${line.trim()}`;
    else result.push(line);
  }
  return result;
}

/** A file's path as it is on the device: with /boot, or without. */
function rightPath(path: string, { exists }: MenuPlan): string {
  if (exists(path)) return path;
  const other = path.startsWith('/boot/') ? path.slice('/boot'.length) : `/boot${path}`;
  return exists(other) ? other : path;
}

/** The path of the kernel that comes next in the same entry; undefined where none does. */
function kernelAfter(lines: readonly string[], at: number): string | undefined {
  for (const line of lines.slice(at + 1)) {
    if (/^\s*title\b/.test(line)) return undefined;
    const file = /^\s*kernel[\s=]+(\S+)/.exec(line)?.[1];
    if (file !== undefined) return splitPath(file).path;
  }
  return undefined;
}

/** A `root` line: left alone where it is right, or may be of another system on another disk. */
function mendedRoot(line: string, argument: string, kernel: string | undefined, plan: MenuPlan): string {
  const { device } = plan;
  const [text = ''] = argument.split(/\s/);
  const named = parseDevice(text);
  const elsewhere = named !== undefined && (kernel === undefined || !plan.exists(rightPath(kernel, plan)));
  if (elsewhere || text === deviceText(device)) return line;
  return `${/^\s*/.exec(line)?.[0]}root\t\t${deviceText(device)}`;
}

/** A line that names a file: its device, its path, and for kernels a console. */
function mendedFile([before, command, between, argument]: readonly string[], plan: MenuPlan): string {
  const [, text = '', rest = ''] = /^(\S*)(.*)$/.exec(argument ?? '') ?? [];
  const { device, path } = splitPath(text);
  const place = device !== undefined && parseDevice(device) === undefined ? deviceText(plan.device) : (device ?? '');
  const silent = command === 'kernel' && /vmlinu|kernel/.test(path) && !/(console|xencons)=/.test(rest);
  return `${before}${command}${between}${place}${path.startsWith('/') && (device === undefined || place === deviceText(plan.device)) ? rightPath(path, plan) : path}${rest}${silent ? ' console=hvc0' : ''}`;
}

/** Lines outside of update-grub's part: what keeps an entry from booting is put right, all else left. */
function mendedLines(all: readonly string[], plan: MenuPlan): string[] {
  const comment = (line: string) => line.trimStart().startsWith('#');
  const lines = joined(all.flatMap((line) => (comment(line) ? [line] : apart(line))));
  return lines.map((line, i) => {
    const parts = comment(line) ? null : /^(\s*)(\w+)([ \t=]+)(.*)$/.exec(line);
    const [, , command = '', , argument = ''] = parts ?? [];
    if (command === 'root') return mendedRoot(line, argument, kernelAfter(lines, i), plan);
    return parts && ['kernel', 'initrd', 'module'].includes(command) ? mendedFile(parts.slice(1), plan) : line;
  });
}

/** Sets a command of the beginning where it is wrong, or missing and wanted. */
function withGlobal(
  lines: readonly string[],
  { command, value, right, wanted }: { command: string; value: string; right: (argument: string) => boolean; wanted: boolean },
): string[] {
  const first = lines.findIndex((line) => /^\s*title\b/.test(line) || line.startsWith('### BEGIN'));
  const end = first < 0 ? lines.length : first;
  const at = lines.findLastIndex((line, i) => i < end && new RegExp(`^\\s*${command}\\b`).test(line));
  if (at >= 0) {
    const argument = (lines[at] as string)
      .trim()
      .slice(command.length)
      .replace(/^[\s=]+/, '');
    return right(argument) ? [...lines] : lines.with(at, `${command}\t\t${value}`);
  }
  if (!wanted) return [...lines];
  // After the comments that the file begins with.
  const start = lines.findIndex((line) => line.trim() !== '' && !line.startsWith('#'));
  const place = Math.min(start < 0 ? 0 : start, end);
  return lines.toSpliced(place, 0, `${command}\t\t${value}`);
}

/**
 * A menu that is there, made right: lines of their own for each command, devices of the loader, paths as they are on
 * this device, a console, a timeout. update-grub's part is written anew from its own options with `kopt` and `groot`
 * set; what stands outside of it is left where it does no harm.
 */
export function repairedMenu(text: string, plan: MenuPlan): string {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const part = automagicPart(lines);
  let result: string[];
  if (part) {
    const wanted = new Map([...options(lines, part), ...OPTIONS(plan)]);
    const block = [...headWith(lines, part, OPTIONS(plan)), '', ...entries(plan, wanted), END];
    result = [...mendedLines(lines.slice(0, part.start), plan), ...block, ...mendedLines(lines.slice(part.end), plan)];
  } else result = mendedLines(lines, plan);
  const menu = parseLegacyMenu(result.join('\n'));
  // A menu with nothing in it to boot gets what is in /boot.
  if (!part && !menu.entries.some(({ commands }) => commands.some(({ command }) => command === 'kernel' || command === 'configfile'))) {
    const fresh = new Map([...OPTIONS(plan), ['defoptions', ''], ['alternative', 'true'], ['howmany', 'all']]);
    result = [...result.join('\n').trimEnd().split('\n'), '', ...freshHead(fresh), '', ...entries(plan, fresh), END, ''];
  }
  const count = parseLegacyMenu(result.join('\n')).entries.filter(({ commands }) => commands.length > 0).length;
  result = withGlobal(result, {
    command: 'timeout',
    value: String(plan.timeout),
    right: (argument) => /^\d+$/.test(argument),
    wanted: true,
  });
  const isEntry = (argument: string) => argument === 'saved' || (/^\d+$/.test(argument) && Number(argument) < count);
  result = withGlobal(result, { command: 'default', value: '0', right: isEntry, wanted: false });
  return result.join('\n');
}

/** What kernels were told by the options of a menu; undefined where it has none. */
export function koptOf(text: string): string | undefined {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const part = automagicPart(lines);
  return part && (options(lines, part).get('kopt') || undefined);
}
