import { formatBytes, formatDuration } from '../config/units.ts';
import type { ErrorData } from '../errors.ts';
import type { Event } from './events.ts';
import { table } from './table.ts';

/** Gathers what a summary at the end of a run needs, from events. */
export class Summary {
  private readonly rows = new Map<string, { state: string; size: string; sha256: string; time: string }>();
  private readonly failures: { cell: string; error: ErrorData; log: string | undefined }[] = [];
  private readonly unpinned = new Map<string, string[]>();

  take(event: Event): void {
    if (event.type === 'run-started')
      for (const cell of event.cells) this.rows.set(cell, { state: 'waiting', size: '', sha256: '', time: '' });
    if (event.type === 'cell-done' || event.type === 'cell-cached' || event.type === 'cell-reproduced') {
      this.rows.set(event.cell, {
        state: { 'cell-done': 'built', 'cell-cached': 'there already', 'cell-reproduced': 'reproduced' }[event.type],
        size: formatBytes(event.size),
        sha256: event.sha256,
        time: event.type === 'cell-cached' ? '' : formatDuration(event.ms),
      });
      if (event.unpinned.length > 0) this.unpinned.set(event.cell, event.unpinned);
    }
    if (event.type === 'cell-failed') {
      this.rows.set(event.cell, { state: 'FAILED', size: '', sha256: event.error.code, time: formatDuration(event.ms) });
      this.failures.push(event);
    }
  }

  /** The table with its failures told in full below, equal ones once. */
  text(): string {
    const rows = [...this.rows].map(([cell, { state, size, sha256, time }]) => [
      cell,
      this.unpinned.has(cell) ? `${state}, unpinned` : state,
      size,
      time,
      sha256,
    ]);
    const parts = [table(['cell', 'result', 'size>', 'time>', 'SHA-256'], rows)];
    const byMessage = Map.groupBy(this.failures, ({ error }) =>
      JSON.stringify({ ...error, message: error.message.replace(/^[\w.-]+: /, '') }),
    );
    for (const group of byMessage.values()) {
      const [first] = group;
      if (!first) continue;
      const { error } = first;
      const lines = [`${group.map(({ cell }) => cell).join(', ')} failed [${error.code}]:`, ...indent(error.message)];
      if (error.expected !== undefined) lines.push(...indent(`expected: ${error.expected}`));
      if (error.got !== undefined) lines.push(...indent(error.got.includes('\n') ? `got:\n${error.got}` : `got: ${error.got}`));
      if (error.hint !== undefined) lines.push(...indent(`try: ${error.hint}`));
      for (const { log } of group) if (log !== undefined) lines.push(...indent(`log: ${log}`));
      parts.push(lines.join('\n'));
    }
    const names = [...new Set([...this.unpinned.values()].flat())];
    if (names.length > 0) parts.push(`unpinned: nothing proves the source ${names.join(', ')}; the metadata of these images says so`);
    return parts.join('\n\n');
  }
}

function indent(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`);
}
