import { formatBytes, formatDuration } from '../config/units.ts';
import type { Event } from './events.ts';
import { type CellRecord, RunRecord } from './record.ts';
import { table } from './table.ts';

/** How much of a checksum is shown where a line has 80 columns; SHA256SUMS has it in full. */
const SHOWN = 16;

/** The summary at the end of a run, as text that fits into 80 columns. */
export class Summary {
  private readonly record = new RunRecord();

  take(event: Event): void {
    this.record.take(event);
  }

  /** The table with its failures told in full below, equal ones once. */
  text(): string {
    const cells = [...this.record.cells.values()];
    const unpinned = (cell: CellRecord) => cell.image?.unpinned ?? [];
    const rows = cells.map((cell) => [
      cell.cell,
      unpinned(cell).length > 0 ? `${cell.state} *` : cell.state,
      cell.image ? formatBytes(cell.image.size) : '',
      cell.ms === undefined ? '' : formatDuration(cell.ms),
      cell.image?.sha256.slice(0, SHOWN) ?? '',
    ]);
    const parts = [table(['cell', 'result', 'size>', 'time>', 'SHA-256 begins'], rows)];
    const byMessage = Map.groupBy(
      cells.filter(({ error }) => error !== undefined),
      ({ error }) => JSON.stringify({ ...error, message: error?.message.replace(/^[\w.-]+: /, '') }),
    );
    for (const group of byMessage.values()) {
      const error = group[0]?.error;
      if (!error) continue;
      const lines = [`${group.map(({ cell }) => cell).join(', ')} failed [${error.code}]:`, ...indent(error.message)];
      if (error.expected !== undefined) lines.push(...indent(`expected: ${error.expected}`));
      if (error.got !== undefined) lines.push(...indent(error.got.includes('\n') ? `got:\n${error.got}` : `got: ${error.got}`));
      if (error.hint !== undefined) lines.push(...indent(`try: ${error.hint}`));
      for (const { log } of group) if (log !== undefined) lines.push(...indent(`log: ${log}`));
      parts.push(lines.join('\n'));
    }
    const names = [...new Set(cells.flatMap(unpinned))];
    if (names.length > 0) parts.push(`* unpinned: nothing proves the source ${names.join(', ')}; the metadata of these images says so`);
    for (const engine of this.record.lost) parts.push(`${engine} was lost; what it had not finished was left to the others`);
    return parts.join('\n\n');
  }
}

function indent(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`);
}
