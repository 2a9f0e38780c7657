import { formatBytes } from '../config/units.ts';
import { printable } from '../errors.ts';
import { type RunRecord, reasonOf } from './record.ts';

/** A text within a cell of a Markdown table: nothing in it is markup, a column or a line's end. */
export function markdownText(text: string): string {
  return printable(text)
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_{}[\]<>()#+!|~&-]/g, (one) => `&#${one.codePointAt(0)};`);
}

/** One row of the table of images. */
export interface MarkdownRow {
  cell: string;
  result: string;
  image?: string | undefined;
  size?: number | undefined;
  sha256?: string | undefined;
  /** How it was seen to boot. */
  boot?: { cases: number; hypervisor: string } | undefined;
  seconds?: number | undefined;
}

/** A table of images in GitHub's Markdown: image, size, SHA-256, boot proof, seconds. Pure. */
export function markdownTable(rows: readonly MarkdownRow[]): string {
  const lines = rows.map(({ cell, result, image, size, sha256, boot, seconds }) => [
    `\`${cell}\``,
    markdownText(result),
    image === undefined ? '' : `\`${image}\``,
    size === undefined ? '' : formatBytes(size),
    sha256 === undefined ? '' : `\`${sha256}\``,
    boot ? markdownText(`${boot.cases} ${boot.cases === 1 ? 'case' : 'cases'} in ${boot.hypervisor}`) : '',
    seconds === undefined ? '' : seconds.toFixed(1),
  ]);
  const head = ['cell', 'result', 'image', 'size', 'SHA-256', 'booted', 'seconds'];
  return [head, head.map((name) => (name === 'size' || name === 'seconds' ? '---:' : '---')), ...lines]
    .map((columns) => `| ${columns.join(' | ')} |`)
    .join('\n');
}

/** What a run came to, for a CI service's job summary. */
export function markdownSummary(record: RunRecord): string {
  const cells = [...record.cells.values()];
  const rows = cells.map(({ cell, state, image, ms }) => ({
    cell,
    result: image && image.unpinned.length > 0 ? `${state}, unpinned: ${image.unpinned.join(', ')}` : state,
    image: image?.image,
    size: image?.size,
    sha256: image?.sha256,
    boot: image?.boot,
    seconds: ms === undefined ? undefined : ms / 1000,
  }));
  const failed = cells.flatMap(({ cell, error }) => (error ? [`- \`${cell}\` [${error.code}]: ${markdownText(reasonOf(error))}`] : []));
  const lost = record.lost.map((engine) => `- ${markdownText(engine)} was lost; what it had not finished was left to the others`);
  const good = cells.filter(({ image }) => image).length;
  return [
    `### pvgrub: ${good} of ${cells.length} cells`,
    markdownTable(rows),
    ...[failed, lost].filter((list) => list.length > 0).map((list) => list.join('\n')),
  ]
    .join('\n\n')
    .concat('\n');
}
