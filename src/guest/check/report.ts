import { compareVersions } from '../../catalog/version.ts';
import { formatBytes } from '../../config/units.ts';
import { printable } from '../../errors.ts';
import { featureNames } from '../disk/ext-super.ts';
import type { LoaderKind } from '../loader.ts';
import type { GuestDisk, Volume } from '../volume.ts';
import type { GuestReport, LoaderVerdict } from './check.ts';
import type { Finding } from './finding.ts';
import { suitedLoader } from './suits.ts';

/** What a check found, as text and as data. Pure. */

const WIDTH = 100;

/** Words in lines of that width, each after the first indented. */
function wrapped(text: string, indent: string, width = WIDTH): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < width - indent.length) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join(`\n${indent}`);
}

function volumeText({ name, content, open }: Volume): string {
  const { type, ext, label, uuid } = content;
  const facts = [
    type,
    ...(ext ? [`${formatBytes(ext.size)}, blocks of ${ext.blockSize} bytes`] : []),
    ...(label ? [`label ${label}`] : []),
    ...(uuid ? [uuid] : []),
  ];
  const names = ext ? featureNames(ext) : content.features;
  const features = names ? `\n    ${wrapped(names.join(' '), '    ')}` : '';
  const blind = open || ['empty', 'unknown', 'swap'].includes(type) ? '' : '; its files are not looked at';
  return `  ${name}  ${facts.join(', ')}${blind}${features}`;
}

function diskText({ name, size, table, volumes }: GuestDisk): string {
  const kind = { none: 'no partition table', mbr: 'MBR', gpt: 'GPT' }[table];
  return [`${name}: ${size > 0 ? `${formatBytes(size)}, ` : ''}${kind}`, ...volumes.map(volumeText)].join('\n');
}

/** One finding in lines for people. */
export function findingText({ level, where, what, hint }: Finding): string {
  return `  ${level.padEnd(7)}  ${wrapped(`${where}: ${what}`, '           ')}${hint ? `\n           try: ${wrapped(hint, '                ')}` : ''}`;
}

/** The same finding at several lines of a file, once: the worst of them, and where else. */
function once(findings: readonly Finding[]): Finding[] {
  const file = (where: string) => where.replace(/:\d+$/, '');
  return [...Map.groupBy(findings, ({ where, what, hint }) => JSON.stringify([file(where), what, hint])).values()].map((list) => {
    const first = (list.find(({ level }) => level === 'error') ?? list[0]) as Finding;
    const more = list.filter((one) => one !== first).map(({ where }) => where.slice(file(where).length + 1));
    return more.length === 0
      ? first
      : {
          ...first,
          what: `${first.what} (also in line${more.length === 1 ? '' : 's'} ${more.slice(0, 8).join(', ')}${more.length > 8 ? ' …' : ''})`,
        };
  });
}

/** Loaders that fare alike, one line for all. */
interface Group {
  loaders: LoaderKind[];
  verdict: LoaderVerdict;
}

function grouped(verdicts: readonly LoaderVerdict[]): Group[] {
  const groups = Map.groupBy(verdicts, (verdict) => {
    const { loader, ok, menu, obstacles } = verdict;
    return JSON.stringify([loader.loader, ok, menu, obstacles]);
  });
  return [...groups.values()].map((list) => ({ loaders: list.map(({ loader }) => loader), verdict: list[0] as LoaderVerdict }));
}

function groupName(loaders: readonly LoaderKind[]): string {
  const versions = loaders.flatMap(({ version }) => version ?? []).sort(compareVersions);
  const [first] = loaders;
  if (!first || versions.length < loaders.length || loaders.length === 1) return loaders.map(({ name }) => name).join(', ');
  return `${first.loader} ${versions[0]} to ${versions.at(-1)}, ${[...new Set(loaders.map(({ arch }) => arch))].join(' and ')}`;
}

/** What a group fares; errors of the menu itself were told once, above. */
function groupText({ loaders, verdict }: Group, findings: readonly Finding[]): string {
  const head = `  ${verdict.ok ? 'yes' : 'no '}  ${groupName(loaders)}`;
  if (verdict.ok) return `${head}: by ${verdict.menu}`;
  const keys = new Set(findings.map(({ where, what }) => `${where}\0${what}`));
  const told = ({ where, what }: { where: string; what: string }) => keys.has(`${where}\0${what}`);
  const own = verdict.obstacles.filter((one) => !told(one));
  const lines = own.map(({ where, what, hint }) => {
    const way = hint ? `\n           try: ${wrapped(hint, '                ')}` : '';
    return `         ${wrapped(`${where}: ${what}`, '         ')}${way}`;
  });
  return [head, ...(own.length < verdict.obstacles.length ? [`         the errors above, of ${verdict.menu}`] : []), ...lines].join('\n');
}

const plural = (n: number, one: string, many: string) => `${n} ${n === 1 ? one : many}`;

/** The whole report. */
export function reportText(report: GuestReport): string {
  const { disks, menus, findings, verdicts } = report;
  const parts = [disks.map(diskText).join('\n')];
  for (const { name, entries, chosen, timeout } of menus)
    parts.push(
      `${name}: ${plural(entries, 'entry', 'entries')}${chosen ? `, boots "${chosen.title}"${timeout === undefined ? '' : ` after ${timeout} s`}` : ''}`,
    );
  if (menus.length === 0) parts.push('no menu was seen');
  if (findings.length > 0) parts.push(once(findings).map(findingText).join('\n'));
  if (verdicts.length > 0)
    parts.push(
      `which loaders boot it:\n${grouped(verdicts)
        .map((group) => groupText(group, findings))
        .join('\n')}`,
    );
  const suited = suitedLoader(report);
  if (verdicts.length > 1)
    parts.push(suited ? `take ${suited.verdict.loader.name}: ${suited.why}` : 'no loader is seen to boot it as it is');
  // Labels and titles are the guest's: no terminal shall obey them.
  return printable(parts.join('\n\n'));
}

/** The report as plain data, for `--json`. */
export function reportData(report: GuestReport): unknown {
  const { disks, menus, findings, verdicts } = report;
  const suited = suitedLoader(report);
  return {
    disks: disks.map(({ name, size, table, volumes }) => ({
      name,
      size,
      table,
      volumes: volumes.map(({ name: device, content: { ext, type, uuid, label, features } }) => ({
        device,
        type,
        uuid: uuid ?? null,
        label: label ?? null,
        features: ext ? featureNames(ext) : (features ?? null),
      })),
    })),
    menus: menus.map(({ name, kind, entries, chosen, timeout, boot }) => ({
      name,
      kind,
      entries,
      chosen: chosen ?? null,
      timeout: timeout ?? null,
      kernel: boot?.kernel.name ?? null,
      initrds: boot?.initrds.map((file) => file.name) ?? [],
      args: boot?.args ?? null,
    })),
    findings,
    loaders: verdicts.map(({ loader, ok, menu, obstacles }) => ({
      name: loader.name,
      loader: loader.loader,
      arch: loader.arch,
      version: loader.version ?? null,
      ok,
      menu: menu ?? null,
      obstacles,
    })),
    suits: suited ? { loader: suited.verdict.loader.name, menu: suited.verdict.menu ?? null, why: suited.why } : null,
  };
}
