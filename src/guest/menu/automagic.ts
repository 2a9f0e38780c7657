/**
 * The part of a menu.lst that Debian's update-grub (grub-legacy) writes anew with every kernel, from options that stand
 * in it as comments. The marks and the options' names are its own. Pure.
 */

export const BEGIN = '### BEGIN AUTOMAGIC KERNELS LIST';
export const END = '### END DEBIAN AUTOMAGIC KERNELS LIST';
const BEGIN_OPTIONS = '## ## Start Default Options ##';
const END_OPTIONS = '## ## End Default Options ##';

/** Lines of a menu, and where the part is: of its first to after its last. */
export interface Automagic {
  start: number;
  end: number;
}

/** Where the part is; undefined where there is none, or it has no end. */
export function automagicPart(lines: readonly string[]): Automagic | undefined {
  const start = lines.indexOf(BEGIN);
  const end = lines.indexOf(END, start);
  return start < 0 || end < 0 ? undefined : { start, end: end + 1 };
}

/** Options of the part: "# name=value" between their marks. update-grub sees no others. */
export function options(lines: readonly string[], part: Automagic): Map<string, string> {
  const own = lines.slice(part.start, part.end);
  const from = own.indexOf(BEGIN_OPTIONS);
  const to = own.indexOf(END_OPTIONS, from);
  const found = new Map<string, string>();
  if (from < 0 || to < 0) return found;
  for (const line of own.slice(from, to)) {
    const match = /^# (\w+)=(.*)$/.exec(line);
    if (match) found.set(match[1] as string, match[2] as string);
  }
  return found;
}

/** The lines up to the end of the options, with some of them set: those that are there change their value, others are added. */
export function headWith(lines: readonly string[], part: Automagic, wanted: ReadonlyMap<string, string>): string[] {
  const own = lines.slice(part.start, part.end);
  const from = own.indexOf(BEGIN_OPTIONS);
  const to = own.indexOf(END_OPTIONS, from);
  // Without its marks update-grub sees no options: then they are written.
  if (from < 0 || to < 0) return freshHead(wanted);
  const left = new Map(wanted);
  const head = own.slice(0, to).map((line, i) => {
    const name = i > from ? /^# (\w+)=/.exec(line)?.[1] : undefined;
    const value = name === undefined ? undefined : left.get(name);
    if (name === undefined || value === undefined) return line;
    left.delete(name);
    return `# ${name}=${value}`;
  });
  return [...head, ...[...left].map(([name, value]) => `# ${name}=${value}`), own[to] as string];
}

/** What the options mean, for who edits them. */
const MEANING: Record<string, string> = {
  kopt: 'what every kernel is told; add to it what all of them need',
  groot: 'the device with the kernels, in the words of the loader',
  defoptions: 'what the first entry of each kernel is told besides',
  howmany: 'how many kernels are listed: a number, or all',
  alternative: 'whether each kernel has an entry for single-user mode, too',
};

/** A part that is written for the first time: marks, and options that update-grub will read. */
export function freshHead(wanted: ReadonlyMap<string, string>): string[] {
  return [
    BEGIN,
    '## update-grub writes all up to the end mark anew; it takes these options from here,',
    '## where they are comments and must stay so.',
    '',
    BEGIN_OPTIONS,
    ...[...wanted].flatMap(([name, value]) => [...(MEANING[name] ? [`## ${MEANING[name]}`] : []), `# ${name}=${value}`, '']),
    END_OPTIONS,
  ];
}
