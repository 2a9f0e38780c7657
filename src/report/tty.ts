import { stripVTControlCharacters, styleText } from 'node:util';
import { formatBytes, formatDuration } from '../config/units.ts';
import type { Event, Listener } from './events.ts';
import { plainLine } from './plain.ts';
import { Remaining, remainingText } from './remaining.ts';
import { Summary } from './summary.ts';

interface Terminal extends NodeJS.WritableStream {
  columns?: number;
  rows?: number;
}

/** ", about 2 min left"; nothing where that is not known. */
function expectedText(left: number | undefined): string {
  if (left === undefined) return '';
  if (left < 10_000) return ', nearly done';
  return `, about ${left < 60_000 ? `${Math.ceil(left / 10_000) * 10} s` : `${Math.ceil(left / 60_000)} min`} left`;
}

/** What ends a cell. */
const ENDS = new Set<Event['type']>(['cell-returned', 'cell-done', 'cell-cached', 'cell-reproduced', 'cell-failed']);

const STYLES: Partial<Record<Event['type'], 'red' | 'green' | 'yellow'>> = {
  'cell-failed': 'red',
  'cell-done': 'green',
  'cell-reproduced': 'green',
  'engine-lost': 'yellow',
};

interface Running {
  phase: string;
  since: number;
}

/**
 * A live display: finished things scroll by as lines, below them one line for each running cell with its phase, time and
 * expected end, and for each download, and the time that is left in all. Redrawn when something happens, and twice a second
 * for the clocks; wide and long displays are cut to the terminal.
 */
export function ttyRenderer(out: Terminal, now: () => number = Date.now): Listener {
  const summary = new Summary();
  const cells = new Map<string, Running>();
  const sources = new Map<string, string>();
  const remaining = new Remaining();
  let drawn = 0;
  let last = 0;
  let timer: NodeJS.Timeout | undefined;
  const colour = (format: Parameters<typeof styleText>[0], text: string) => styleText(format, text, { stream: out as never });

  const live = (): string[] => {
    const lines = [
      ...[...sources].map(([source, text]) => `${colour('cyan', '↓')} ${source}  ${text}`),
      ...[...cells].map(
        ([cell, { phase, since }]) =>
          `${colour('cyan', '●')} ${cell}  ${phase}  ${colour('dim', `${formatDuration(now() - since)}${expectedText(remaining.of(cell, now()))}`)}`,
      ),
    ];
    const left = remainingText(remaining, now());
    if (left !== undefined) lines.push(colour('dim', left));
    const width = (out.columns ?? 80) - 1;
    return lines
      .slice(0, Math.max(1, (out.rows ?? 24) - 1))
      .map((line) => (stripVTControlCharacters(line).length <= width ? line : `${stripVTControlCharacters(line).slice(0, width - 1)}…`));
  };
  const erase = () => (drawn > 0 ? `\x1b[${drawn}A\x1b[0J` : '');
  const draw = (above = '') => {
    const lines = live();
    out.write(`${erase()}${above}${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
    last = now();
  };

  return (event: Event) => {
    summary.take(event);
    remaining.take(event, now());
    if (event.type === 'run-started') timer = setInterval(() => draw(), 500).unref();
    if (event.type === 'source-started') sources.set(event.source, event.origin);
    if (event.type === 'source-progress') {
      sources.set(
        event.source,
        event.total === undefined ? formatBytes(event.done) : `${formatBytes(event.done)} of ${formatBytes(event.total)}`,
      );
      if (now() - last >= 200) draw();
      return;
    }
    if (event.type === 'source-done' || event.type === 'source-failed') sources.delete(event.source);
    if (event.type === 'cell-started') cells.set(event.cell, { phase: 'starting', since: now() });
    if (event.type === 'cell-phase') {
      const running = cells.get(event.cell);
      if (running) running.phase = event.phase;
    }
    if (ENDS.has(event.type) && 'cell' in event) cells.delete(event.cell);
    if (event.type === 'run-finished') {
      clearInterval(timer);
      sources.clear();
      cells.clear();
      draw(`\n${summary.text()}\n`);
      return;
    }
    const quiet = event.type === 'cell-phase' || event.type === 'source-started' || event.type === 'cell-started';
    const line = quiet ? undefined : plainLine(event);
    const style = STYLES[event.type];
    draw(line === undefined ? '' : `${style === undefined ? line : colour(style, line)}\n`);
  };
}
