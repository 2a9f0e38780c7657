/** GRUB 0.97's menu.lst (grub.conf), read as its get_line_from_config reads it. Pure. */

/** One command of a menu. */
export interface MenuLine {
  /** Line of the file, from 1; of its first part where it goes on. */
  line: number;
  /** What the loader takes for the command: up to a space or "=". */
  command: string;
  argument: string;
}

/** One entry. */
export interface MenuEntry {
  title: string;
  line: number;
  commands: MenuLine[];
}

/** A whole menu. */
export interface LegacyMenu {
  /** Commands before the first title. */
  global: MenuLine[];
  entries: MenuEntry[];
}

/** A longer line is cut by the loader. */
export const MAX_LINE = 1500;
/** A menu is some kilobytes; the loader has a buffer of about 32 KiB for its entries. */
export const MAX_MENU: number = 256 * 1024;

/** Lines as the loader gets them: tabs are spaces, "\" at an end joins, "#" comments, blanks are left out. */
function logicalLines(text: string): { line: number; text: string }[] {
  const result: { line: number; text: string }[] = [];
  const lines = text.slice(0, MAX_MENU).replaceAll('\r', '').split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = i + 1;
    const parts = [lines[i] as string];
    // A comment goes on like any other line.
    while (endsInBackslash(parts.at(-1) as string) && i + 1 < lines.length) {
      parts.push((parts.pop() as string).slice(0, -1), lines[++i] as string);
    }
    const joined = parts.join(' ').replaceAll('\t', ' ').trimStart();
    if (joined !== '' && !joined.startsWith('#')) result.push({ line, text: joined });
  }
  return result;
}

/** An odd number of backslashes: two stand for one. Counted from the end, so that no line takes long. */
function endsInBackslash(text: string): boolean {
  let at = text.length;
  while (text[at - 1] === '\\') at--;
  return (text.length - at) % 2 === 1;
}

/** Read a menu. Nothing in it is an error here: see the checks. */
export function parseLegacyMenu(text: string): LegacyMenu {
  const menu: LegacyMenu = { global: [], entries: [] };
  for (const { line, text: content } of logicalLines(text)) {
    const [, command = '', rest = ''] = /^([^ =]*)[ =]*(.*)$/s.exec(content) ?? [];
    const argument = rest.trimEnd();
    if (command === 'title') menu.entries.push({ title: argument, line, commands: [] });
    else (menu.entries.at(-1)?.commands ?? menu.global).push({ line, command, argument });
  }
  return menu;
}

/** Commands that pv-grub knows in a menu; it skips a line with any other (stage2/builtins.c, and Xen's patch for graphics). */
export const LEGACY_COMMANDS: ReadonlySet<string> = new Set(
  [
    'blocklist boot bootp cat chainloader clear cmp color configfile debug default dhcp displayapm displaymem embed',
    'fallback find fstest geometry halt help hiddenmenu hide ifconfig impsprobe initrd install ioprobe kernel lock makeactive map',
    'md5crypt module modulenounzip pager partnew parttype password pause rarp read reboot root rootnoverify savedefault setkey',
    'setup shade splashimage foreground background border viewport terminal testload testvbe tftpserver timeout title unhide uppermem vbeprobe',
  ]
    .join(' ')
    .split(' '),
);

/** Commands of Debian's GRUB and others that pv-grub skips without harm. */
export const HARMLESS: ReadonlySet<string> = new Set(['quiet', 'gfxmenu', 'serial', 'terminfo', 'savedefault']);

/** A disk, or a partition of it, as GRUB 0.97 writes it. */
export interface LegacyDevice {
  disk: number;
  /** From 0; undefined for the whole disk. */
  partition?: number;
}

/** "(hd0)", "(hd0,0)"; undefined for anything else. */
export function parseDevice(text: string): LegacyDevice | undefined {
  const match = /^\(hd(\d{1,3})(?:,(\d{1,3}))?\)$/.exec(text);
  if (!match) return undefined;
  return { disk: Number(match[1]), ...(match[2] === undefined ? {} : { partition: Number(match[2]) }) };
}

/** As GRUB 0.97 writes it. */
export function deviceText({ disk, partition }: LegacyDevice): string {
  return partition === undefined ? `(hd${disk})` : `(hd${disk},${partition})`;
}

/** A path with or without a device before it. */
export function splitPath(text: string): { device: string | undefined; path: string } {
  const match = /^(\([^)]*\))(.*)$/s.exec(text);
  return match ? { device: match[1], path: match[2] ?? '' } : { device: undefined, path: text };
}
