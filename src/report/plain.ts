import { timesText } from '../boot/report.ts';
import { formatBytes, formatDuration } from '../config/units.ts';
import { type ErrorData, printable } from '../errors.ts';
import type { Event, Listener } from './events.ts';
import { Summary } from './summary.ts';

/** One line of plain text for an event; undefined for those that only a live display shows. */
export function plainLine(event: Event): string | undefined {
  switch (event.type) {
    case 'run-started':
      return `${event.cells.length} ${event.cells.length === 1 ? 'cell' : 'cells'}, up to ${event.side} side by side on ${event.cores} cores, ${event.engines.length === 1 ? 'engine' : 'engines'} ${event.engines.join(', ')}`;
    case 'note':
      return printable(event.text);
    case 'warning':
      return printable(`warning: ${event.text}`);
    case 'source-started':
      return `source ${event.source}: from ${event.origin}`;
    case 'source-done':
      return event.cached
        ? undefined
        : `source ${event.source}: ${formatBytes(event.size)}, ${event.proof === undefined ? 'UNPINNED, taken because of --trust' : `proved by ${event.proof}`}`;
    case 'source-failed':
      return `source ${event.source}: ${event.error.message.split('\n')[0]} [${event.error.code}]`;
    case 'engine-lost':
      return printable(
        `warning: ${event.engine} does not answer any more; ${event.left > 0 ? 'its cells go to the others' : 'no other is left'}`,
      );
    case 'cell-returned':
      return printable(`${event.cell}: not finished by ${event.engine}; another engine takes it`);
    case 'cell-started':
      return printable(
        `${event.cell}: started with ${event.jobs} ${event.jobs === 1 ? 'core' : 'cores'}${event.engine === undefined ? '' : ` on ${event.engine}`}`,
      );
    case 'cell-phase':
      return `${event.cell}: ${printable(event.phase)}`;
    case 'boot-case': {
      const times = timesText(event);
      return `${event.image}: boot ${event.case}: ${event.ok ? 'ok' : 'FAILED'}, ${event.said}${times === '' ? '' : ` (${times})`}`;
    }
    case 'cell-done':
      return `${event.cell}: built in ${formatDuration(event.ms)}, ${formatBytes(event.size)}, sha256 ${short(event.sha256)}`;
    case 'cell-cached':
      return `${event.cell}: there already`;
    case 'cell-reproduced':
      return `${event.cell}: the same image again in ${formatDuration(event.ms)}, sha256 ${short(event.sha256)}`;
    case 'cell-failed':
      return [`${event.cell}: FAILED after ${formatDuration(event.ms)} [${event.error.code}]`, ...lastLines(event.error)].join('\n');
    case 'source-progress':
    case 'run-finished':
      return undefined;
  }
}

/** The beginning of a checksum, so that lines fit; SHA256SUMS has it in full. */
const short = (sha256: string) => (sha256.length > 12 ? `${sha256.slice(0, 12)}…` : sha256);

/** What a failed build's log ends with; of other failures, what happened. */
function lastLines({ code, message, got }: ErrorData): string[] {
  const lines = code.startsWith('BUILD_') && got !== undefined ? got.split('\n').slice(-8) : message.split('\n').slice(0, 1);
  return lines.map((line) => `  ${printable(line)}`);
}

/** Plain lines, one an event, for logs and pipes; the summary at the end. */
export function plainRenderer(out: NodeJS.WritableStream): Listener {
  const summary = new Summary();
  return (event) => {
    summary.take(event);
    const line = plainLine(event);
    if (line !== undefined) out.write(`${line}\n`);
    if (event.type === 'run-finished') out.write(`\n${summary.text()}\n`);
  };
}
