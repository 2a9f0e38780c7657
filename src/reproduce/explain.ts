import { gunzipSync } from 'node:zlib';
import { archiveMembers, type Member } from '../inspect/archive-members.ts';
import { type Elf, isElf, NotElf, parseElf, sectionBytes } from '../inspect/elf.ts';
import { gzipHeader, MAX_UNPACKED } from '../inspect/inspect.ts';
import { elfSymbols, symbolAt } from '../inspect/symbols.ts';

/** Tells why two files that should be the same are not. Pure. */

/** One thing that differs. */
export interface Finding {
  /** Where: "gzip header", ".rodata", "tar member boot/grub/grub.cfg". */
  where: string;
  what: string;
}

/** How many findings of one kind are told, and how many characters of each. */
const TOLD = 6;
const LONGEST = 400;
/** Bytes of a section that are looked into for text. */
const LOOKED_INTO = 4 * 2 ** 20;
/** Sections that are looked into; files have some dozens. */
const MAX_SECTIONS = 400;

/**
 * Compare two images, or any two files.
 * @returns what differs, the most telling first; nothing for the same bytes
 */
export function explainDifference(one: Uint8Array, other: Uint8Array): Finding[] {
  // Names come from the files: nothing of them shall move a cursor, or fill a screen.
  const shown = (text: string) => {
    const plain = text.replace(/[^\x20-\x7e]/g, '?');
    return plain.length > LONGEST ? `${plain.slice(0, LONGEST)}…` : plain;
  };
  return findings(one, other).map(({ where, what }) => ({ where: shown(where), what: shown(what) }));
}

function findings(one: Uint8Array, other: Uint8Array): Finding[] {
  if (Buffer.compare(one, other) === 0) return [];
  const headers = gzipFindings(one, other);
  const whole = [unpacked(one), unpacked(other)];
  // One that cannot be unpacked is compared as it is, with the other one as it is.
  const [a, b] = whole[0] && whole[1] ? (whole as [Uint8Array, Uint8Array]) : [one, other];
  if (Buffer.compare(a, b) === 0)
    return headers.length > 0 ? headers : [{ where: 'gzip', what: 'the same content, compressed in another way' }];
  const told = [...headers, ...memberFindings(a, b)];
  try {
    if (isElf(a) && isElf(b)) told.push(...elfFindings(a, b));
    else told.push(...textFindings('content', a, b), byteFinding('content', a, b));
  } catch (error) {
    if (!(error instanceof NotElf || error instanceof RangeError)) throw error;
    told.push({ where: 'ELF', what: `one of them is damaged: ${error.message}` }, byteFinding('content', a, b));
  }
  return told;
}

function unpacked(bytes: Uint8Array): Uint8Array | undefined {
  if (!gzipHeader(bytes)) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_UNPACKED });
  } catch {
    return undefined;
  }
}

const differing = (name: string, a: unknown, b: unknown) => (Object.is(a, b) ? [] : [`${name} ${a} and ${b}`]);

function gzipFindings(one: Uint8Array, other: Uint8Array): Finding[] {
  const [a, b] = [gzipHeader(one), gzipHeader(other)];
  if (!a && !b) return [];
  if (!a || !b) return [{ where: 'gzip header', what: 'only one of them is compressed' }];
  const what = [
    ...differing('time', a.mtime, b.mtime),
    ...differing('name', a.name, b.name),
    ...differing('extra flags', one[8], other[8]),
    ...differing('system', one[9], other[9]),
  ];
  return what.length === 0 ? [] : [{ where: 'gzip header', what: what.join('; ') }];
}

function memberFindings(a: Uint8Array, b: Uint8Array): Finding[] {
  const [members, others] = [keyed(archiveMembers(a)), keyed(archiveMembers(b))];
  const findings: Finding[] = [];
  for (const [key, member] of members) {
    const other = others.get(key);
    if (!other) continue;
    const what = (['mtime', 'uid', 'gid', 'mode'] as const).flatMap((name) => differing(name, member[name], other[name]));
    if (what.length > 0) findings.push({ where: `${member.archive} member ${member.name}`, what: what.join('; ') });
  }
  const orders = [members, others].map((list) => [...list.keys()]);
  if (findings.length === 0 && JSON.stringify(orders[0]) !== JSON.stringify(orders[1])) {
    const same = JSON.stringify(orders[0]?.toSorted()) === JSON.stringify(orders[1]?.toSorted());
    findings.push({ where: 'archive', what: same ? 'the same members in another order' : 'other members' });
  }
  return shortened(findings, 'members');
}

/** Members by name; of those with the same name the first, the second and so on belong together. */
function keyed(members: readonly Member[]): Map<string, Member> {
  const times = new Map<string, number>();
  return new Map(
    members.map((member) => {
      const name = `${member.archive} ${member.name}`;
      const time = times.get(name) ?? 0;
      times.set(name, time + 1);
      return [`${name} ${time}`, member];
    }),
  );
}

function elfFindings(a: Uint8Array, b: Uint8Array): Finding[] {
  const [one, other] = [parseElf(a), parseElf(b)];
  const head = [
    ...differing('width', one.bits, other.bits),
    ...differing('machine', one.machine, other.machine),
    ...differing('entry', one.entry, other.entry),
  ];
  const findings: Finding[] = head.length === 0 ? [] : [{ where: 'ELF header', what: head.join('; ') }];
  if (Math.max(one.sections.length, other.sections.length) > MAX_SECTIONS)
    return [...findings, { where: 'ELF sections', what: 'more than are looked into' }, byteFinding('content', a, b)];
  const names = (elf: Elf) => new Set(elf.sections.map(({ name }) => name));
  const [mine, its] = [names(one), names(other)];
  const gone = [...mine].filter((name) => !its.has(name));
  const added = [...its].filter((name) => !mine.has(name));
  if (gone.length + added.length > 0)
    findings.push({
      where: 'ELF sections',
      what: [...gone.map((name) => `only the first has ${name}`), ...added.map((name) => `only the second has ${name}`)].join('; '),
    });
  const parts: Finding[] = [];
  const symbols = elfSymbols(a, one);
  for (const [index, section] of one.sections.entries()) {
    const time = one.sections.slice(0, index).filter(({ name }) => name === section.name).length;
    const twin = other.sections.filter(({ name }) => name === section.name)[time];
    if (!twin) continue;
    if (parts.length > 2 * TOLD) break;
    const where = section.name === '' ? 'ELF' : section.name;
    const [x, y] = [sectionBytes(a, section), sectionBytes(b, twin)];
    if (x.length === 0 && y.length === 0) {
      if (section.size !== twin.size) parts.push({ where, what: `${section.size} and ${twin.size} bytes` });
      continue;
    }
    if (Buffer.compare(x, y) === 0) continue;
    const texts = textFindings(where, x, y);
    const bytes = byteFinding(where, x, y);
    const symbol = symbolAt(symbols, index, section.addr + firstDifference(x, y));
    parts.push(...texts, symbol ? { where, what: `${bytes.what}, ${placeOf(symbol)}` } : bytes);
  }
  findings.push(...shortened(parts, 'sections'));
  return findings.length > 0 ? findings : [byteFinding('ELF, outside of its sections', a, b)];
}

/** "in" a symbol, or "behind" one that ends before. */
function placeOf({ name, offset, inside }: NonNullable<ReturnType<typeof symbolAt>>): string {
  return `${inside ? 'in' : 'behind'} ${name}+0x${offset.toString(16)}`;
}

function firstDifference(x: Uint8Array, y: Uint8Array): number {
  const length = Math.min(x.length, y.length);
  for (let at = 0; at < length; at++) if (x[at] !== y[at]) return at;
  return length;
}

function byteFinding(where: string, x: Uint8Array, y: Uint8Array): Finding {
  const first = firstDifference(x, y);
  const at = `first at 0x${first.toString(16)}`;
  if (x.length !== y.length) return { where, what: `${x.length} and ${y.length} bytes, ${at}` };
  let count = 0;
  for (let i = first; i < x.length; i++) if (x[i] !== y[i]) count++;
  return { where, what: `${count} of ${x.length} bytes differ, ${at}` };
}

/** Text that only one of them has: paths and dates are the usual reasons. */
function textFindings(where: string, x: Uint8Array, y: Uint8Array): Finding[] {
  const [a, b] = [texts(x), texts(y)];
  const only = (mine: ReadonlySet<string>, its: ReadonlySet<string>) => [...mine].filter((text) => !its.has(text));
  const kinds: [string, RegExp][] = [
    ['a path', /^\.{0,2}\/[\w.+-]+\/|[\w.+-]\/[\w.+-]+\/[\w.+-]/],
    [
      'a date or time',
      /\b(19|20)\d\d-[01]\d-[0-3]\d\b|\b[0-2]\d:[0-5]\d:[0-5]\d\b|\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d/,
    ],
    ['text', /[A-Za-z]{4}/],
  ];
  const [mine, its] = [only(a, b), only(b, a)];
  const found = kinds.flatMap(([kind, form]) => {
    const [one, other] = [mine.find((text) => form.test(text)), its.find((text) => form.test(text))];
    return one === undefined && other === undefined ? [] : [{ kind, what: `${kind}: ${quoted(one)} and ${quoted(other)}` }];
  });
  // Any text at all is told where there is nothing better.
  return found.filter(({ kind }, i) => kind !== 'text' || i === 0).map(({ what }) => ({ where, what }));
}

const quoted = (text: string | undefined) =>
  text === undefined ? 'nothing like it' : JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);

/** Printable runs of six characters and more; long ones in pieces, which takes no stack. */
function texts(all: Uint8Array): Set<string> {
  const bytes = all.subarray(0, LOOKED_INTO);
  return new Set(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      .toString('latin1')
      .match(/[\x20-\x7e]{6,300}/g) ?? [],
  );
}

function shortened(findings: Finding[], kind: string): Finding[] {
  return findings.length <= TOLD
    ? findings
    : [...findings.slice(0, TOLD), { where: '…', what: `${findings.length - TOLD} more of ${kind}` }];
}
