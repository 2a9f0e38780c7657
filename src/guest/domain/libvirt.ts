import { SaxesParser } from 'saxes';
import { UsageError } from '../../errors.ts';
import { type Change, changed } from './changes.ts';
import type { BootThrough, Domain } from './domain.ts';
import { inOrder, type VirtualDisk, vdevNumber } from './virtual-disk.ts';

/** Domains in libvirt's XML (libvirt, formatdomain): what they boot, and how they are made to boot through a loader. Pure. */

/** An element, with its place in the text. */
interface Element {
  name: string;
  /** Names from the root to it: "domain/os/kernel". */
  path: string;
  attributes: Record<string, string>;
  text: string;
  /** From "<" of its start to after its end. */
  start: number;
  end: number;
  /** Its content, between the tags; the same number twice for `<x/>`. */
  inner: [start: number, end: number];
  parent: Element | undefined;
}

const MAX = 4 * 2 ** 20;
const MAX_DEPTH = 100;

/** @throws UsageError DOMAIN_INVALID */
function elementsOf(text: string, where: string): Element[] {
  const invalid = (what: string) =>
    new UsageError('DOMAIN_INVALID', `${where} is no XML of a domain: ${what}`, { expected: 'what virsh dumpxml prints' });
  if (text.length > MAX) throw invalid('it is too large');
  const found: Element[] = [];
  const open: Element[] = [];
  const parser = new SaxesParser({ position: true });
  let fault: Error | undefined;
  parser.on('error', (error) => {
    fault ??= error;
  });
  parser.on('opentagstart', () => {
    if (open.length === MAX_DEPTH) fault ??= new Error('elements are nested too deep');
  });
  parser.on('opentag', ({ name, attributes }) => {
    const parent = open.at(-1);
    const start = text.lastIndexOf('<', parser.position - 1);
    const element: Element = {
      name,
      path: parent ? `${parent.path}/${name}` : name,
      attributes: attributes as Record<string, string>,
      text: '',
      start,
      end: parser.position,
      inner: [parser.position, parser.position],
      parent,
    };
    found.push(element);
    open.push(element);
  });
  const addText = (part: string) => {
    const element = open.at(-1);
    if (element) element.text += part;
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.on('closetag', ({ isSelfClosing }) => {
    const element = open.pop();
    if (!element) return;
    element.end = parser.position;
    if (!isSelfClosing) element.inner = [element.inner[0], text.lastIndexOf('<', parser.position - 1)];
  });
  parser.write(text).close();
  if (fault) throw invalid(fault.message);
  if (found[0]?.name !== 'domain') throw invalid(`its root is ${found[0]?.name ?? 'missing'}`);
  return found;
}

const UNITS: Record<string, number> = {
  b: 2 ** -20,
  bytes: 2 ** -20,
  kb: 1000 / 2 ** 20,
  k: 2 ** -10,
  kib: 2 ** -10,
  mb: 1e6 / 2 ** 20,
  m: 1,
  mib: 1,
  gb: 1e9 / 2 ** 20,
  g: 1024,
  gib: 1024,
};

/** Memory in MiB; kibibytes if no unit is said. */
function memoryOf(element: Element | undefined): number | undefined {
  const value = Number(element?.text.trim() || Number.NaN);
  const unit = UNITS[(element?.attributes['unit'] ?? 'KiB').toLowerCase()];
  return Number.isFinite(value) && unit !== undefined ? Math.floor(value * unit) : undefined;
}

function disksOf(elements: readonly Element[]): VirtualDisk[] {
  const disks = elements.filter(({ path, attributes }) => path === 'domain/devices/disk' && (attributes['device'] ?? 'disk') === 'disk');
  return inOrder(
    disks.flatMap((disk): VirtualDisk[] => {
      const child = (name: string) => elements.find((element) => element.parent === disk && element.name === name);
      const vdev = child('target')?.attributes['dev'] ?? '';
      const number = vdevNumber(vdev);
      const source = child('source')?.attributes;
      return number === undefined
        ? []
        : [{ target: source?.['dev'] ?? source?.['file'], format: child('driver')?.attributes['type'] ?? 'raw', vdev, number }];
    }),
  );
}

/**
 * Read a domain.
 * @throws UsageError DOMAIN_INVALID
 */
export function readLibvirtDomain(text: string, where: string): Domain {
  const elements = elementsOf(text, where);
  const at = (path: string) => elements.find((element) => element.path === `domain/${path}`);
  const textAt = (path: string) => at(path)?.text.trim() || undefined;
  const kind = elements[0]?.attributes['type'] ?? '';
  if (kind !== 'xen')
    throw new UsageError('DOMAIN_INVALID', `${where} is a domain of ${kind || 'unknown type'}, not of Xen`, {
      expected: "<domain type='xen'>",
    });
  const os = at('os/type');
  const type = /hvm/.test(os?.text ?? '') ? 'hvm' : /pvh/.test(`${os?.text} ${os?.attributes['machine']}`) ? 'pvh' : 'pv';
  const root = textAt('os/root');
  return {
    format: 'libvirt',
    type,
    kernel: textAt('os/kernel'),
    ramdisk: textAt('os/initrd'),
    bootloader: textAt('bootloader'),
    commandLine: [root === undefined ? '' : `root=${root}`, textAt('os/cmdline') ?? ''].filter(Boolean).join(' '),
    memory: memoryOf(at('currentMemory') ?? at('memory')),
    disks: disksOf(elements),
  };
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/**
 * The same domain, booting through a loader: nothing but what decides that is changed.
 * @throws UsageError DOMAIN_INVALID
 */
export function rewriteLibvirt(text: string, where: string, { kernel, menu, type }: BootThrough): string {
  const elements = elementsOf(text, where);
  const at = (path: string) => elements.find((element) => element.path === `domain/${path}`);
  const changes: Change[] = [];
  const os = at('os');
  const osType = at('os/type');
  if (!os || !osType)
    throw new UsageError('DOMAIN_INVALID', `${where} has no <os> with a <type>`, { expected: 'what virsh dumpxml prints' });
  const indent = /[ \t]*$/.exec(text.slice(0, osType.start))?.[0] ?? '';
  const fresh: string[] = [];
  const set = (name: string, value: string) => {
    const element = at(`os/${name}`);
    const written = `<${name}>${escaped(value)}</${name}>`;
    if (element) changes.push({ start: element.start, end: element.end, text: written });
    else fresh.push(`\n${indent}${written}`);
  };
  // With the blanks before it and its line's end.
  const remove = (path: string) => {
    const element = at(path);
    if (!element) return;
    const start = text.slice(0, element.start).trimEnd().length;
    changes.push({
      start: text.slice(start, element.start).includes('\n') ? text.lastIndexOf('\n', element.start) : element.start,
      end: element.end,
      text: '',
    });
  };
  set('kernel', kernel);
  remove('os/initrd');
  remove('os/root');
  if (menu === undefined) remove('os/cmdline');
  else set('cmdline', menu);
  remove('bootloader');
  remove('bootloader_args');
  const machine = type === 'pvh' ? 'xenpvh' : 'xenpv';
  const right = type === 'pvh' ? /pvh/.test(osType.text) : !/pvh|hvm/.test(`${osType.text} ${osType.attributes['machine']}`);
  if (!right) {
    const attributes = Object.entries({ ...osType.attributes, machine }).map(([name, value]) => ` ${name}='${escaped(value)}'`);
    changes.push({
      start: osType.start,
      end: osType.end,
      text: `<type${attributes.join('')}>${type === 'pvh' ? 'xenpvh' : 'linux'}</type>`,
    });
  }
  if (fresh.length > 0) changes.push({ start: osType.end, end: osType.end, text: fresh.join('') });
  return changed(text, changes);
}
