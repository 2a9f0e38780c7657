import { UsageError } from '../../errors.ts';
import { type Change, changed } from './changes.ts';
import type { BootThrough, Domain } from './domain.ts';
import { inOrder, parseDisk } from './virtual-disk.ts';
import { type Assignment, assignedValue, parseXlConfig, type XlConfig, xlString } from './xl-config.ts';

/** Domains in xl's and xm's format: what they boot, and how they are made to boot through a loader. Pure. */

/** What decides how a domain boots. */
const BOOT_NAMES = [
  'kernel',
  'ramdisk',
  'root',
  'extra',
  'cmdline',
  'bootloader',
  'bootloader_args',
  'bootargs',
  'builder',
  'type',
  'pvh',
  'disk',
];

/** One of them is in every configuration. */
const KNOWN = new Set(['name', 'memory', 'vcpus', 'vif', ...BOOT_NAMES]);

/** @throws UsageError DOMAIN_INVALID where only Python could tell */
function plain(config: XlConfig, where: string): (name: string) => Assignment['value'] {
  for (const { name, value, line, indented } of config.assignments) {
    if (!BOOT_NAMES.includes(name) || (value !== undefined && !indented)) continue;
    throw new UsageError('DOMAIN_INVALID', `${where}, line ${line}: what ${name} is, only Python could tell`, {
      expected: 'plain strings, numbers and lists, as xl reads them',
      hint: 'xm ran such files as Python; write down what the value is',
    });
  }
  return (name) => assignedValue(config, name);
}

const textOf = (value: Assignment['value']) => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined);

/** PV if nothing else is said (xl.cfg(5), "type"). */
function typeOf(get: (name: string) => Assignment['value']): Domain['type'] {
  const type = textOf(get('type'));
  if (type === 'pv' || type === 'pvh' || type === 'hvm') return type;
  if (/hvm/.test(textOf(get('builder')) ?? '') || /hvmloader/.test(textOf(get('kernel')) ?? '')) return 'hvm';
  return get('pvh') === 1 ? 'pvh' : 'pv';
}

/**
 * Read a domain.
 * @throws UsageError DOMAIN_INVALID
 */
export function readXlDomain(text: string, where: string): Domain {
  const config = parseXlConfig(text, where);
  const get = plain(config, where);
  if (!config.assignments.some(({ name }) => KNOWN.has(name)))
    throw new UsageError('DOMAIN_INVALID', `${where} has nothing of a domain in it`, {
      expected: 'a configuration of xl or xm, or libvirt XML',
    });
  const root = textOf(get('root'));
  const disks = get('disk');
  const words = [root === undefined ? '' : `root=${root}`, textOf(get('extra')) ?? ''];
  const memory = get('memory');
  return {
    format: 'xl',
    type: typeOf(get),
    kernel: textOf(get('kernel')),
    ramdisk: textOf(get('ramdisk')),
    bootloader: textOf(get('bootloader')),
    // Whoever has `cmdline` has no use for the others.
    commandLine: textOf(get('cmdline')) ?? words.filter(Boolean).join(' '),
    memory: typeof memory === 'number' ? memory : typeof memory === 'string' && /^\d+$/.test(memory) ? Number(memory) : undefined,
    disks: inOrder((Array.isArray(disks) ? disks : []).flatMap((spec) => (typeof spec === 'string' ? (parseDisk(spec) ?? []) : []))),
  };
}

/** Taking out an assignment: its whole line, but for a comment behind it. */
function without(text: string, { start, end }: Assignment): Change {
  const lineStart = text.lastIndexOf('\n', start - 1) + 1;
  const after = /^[ \t]*;?[ \t]*/.exec(text.slice(end))?.[0].length ?? 0;
  const next = text[end + after];
  if (text.slice(lineStart, start).trim() !== '') return { start, end: end + after, text: '' };
  if (next === undefined || next === '\n') return { start: lineStart, end: Math.min(end + after + 1, text.length), text: '' };
  return { start, end: end + after, text: '' };
}

/** What decides booting besides kernel and extra, and has to go. */
const GOES = ['ramdisk', 'root', 'cmdline', 'bootloader', 'bootloader_args', 'bootargs', 'pvh'];

/**
 * The same configuration, booting through a loader: nothing but what decides that is changed.
 * @throws UsageError DOMAIN_INVALID
 */
export function rewriteXl(text: string, where: string, { kernel, menu, type }: BootThrough): string {
  const config = parseXlConfig(text, where);
  plain(config, where);
  const all = (name: string) => config.assignments.filter((one) => one.name === name);
  const changes: Change[] = [];
  const fresh: string[] = [];
  const set = (name: string, value: string) => {
    const list = all(name);
    const last = list.at(-1);
    if (last?.more) changes.push({ start: last.start, end: last.end, text: `${name} = ${xlString(value)}` });
    else if (last) changes.push({ start: last.valueStart, end: last.end, text: xlString(value) });
    else fresh.push(`${name} = ${xlString(value)}\n`);
    for (const one of list.slice(0, -1)) changes.push(without(text, one));
  };
  const remove = (name: string) => {
    for (const one of all(name)) changes.push(without(text, one));
  };
  set('kernel', kernel);
  if (menu === undefined) remove('extra');
  else set('extra', menu);
  for (const name of GOES) remove(name);
  // "linux" and "generic" are PV; PVH has no builder.
  if (type === 'pvh') remove('builder');
  if (type === 'pvh' || all('type').length > 0) set('type', type);
  if (fresh.length > 0) changes.push({ ...insertion(config), text: fresh.join('') });
  return changed(text, changes);
}

/** Where new lines go: before the line of the first assignment that decides booting, else at the beginning of the first assignment. */
function insertion({ text, assignments }: XlConfig): { start: number; end: number } {
  const first = assignments.find(({ name }) => BOOT_NAMES.includes(name)) ?? assignments[0];
  const start = first === undefined ? text.length : text.lastIndexOf('\n', first.start - 1) + 1;
  return { start, end: start };
}
