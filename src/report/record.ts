import type { ErrorData } from '../errors.ts';
import type { Event, ImageTold } from './events.ts';

/** What became of one cell. */
export interface CellRecord {
  cell: string;
  state: 'waiting' | 'built' | 'there already' | 'reproduced' | 'FAILED';
  /** Of those that came to an image. */
  image?: Omit<ImageTold, 'image'> & { image?: string };
  ms?: number;
  error?: ErrorData;
  log?: string;
}

const STATES = { 'cell-done': 'built', 'cell-cached': 'there already', 'cell-reproduced': 'reproduced' } as const;

/** Gathers from a run's events what became of each cell, for reports at its end. */
export class RunRecord {
  readonly cells = new Map<string, CellRecord>();
  /** Boot cases as they went, by image. */
  readonly boots: (Event & { type: 'boot-case' })[] = [];
  /** Names of engines that were lost. */
  readonly lost: string[] = [];
  ms = 0;

  /** Take what happened into account. */
  take(event: Event): void {
    switch (event.type) {
      case 'run-started':
        for (const cell of event.cells) this.cells.set(cell, { cell, state: 'waiting' });
        break;
      case 'boot-case':
        this.boots.push(event);
        break;
      case 'engine-lost':
        this.lost.push(event.engine);
        break;
      case 'cell-done':
      case 'cell-cached':
      case 'cell-reproduced':
        this.cells.set(event.cell, {
          cell: event.cell,
          state: STATES[event.type],
          image: event,
          ...(event.type === 'cell-cached' ? {} : { ms: event.ms }),
        });
        break;
      case 'cell-failed': {
        const { cell, error, ms, log } = event;
        this.cells.set(cell, { cell, state: 'FAILED', error, ms, ...(log === undefined ? {} : { log }) });
        break;
      }
      case 'run-finished':
        this.ms = event.ms;
        break;
    }
  }
}

/** The line that tells most of a failure: the log's first real error, where it has one, else the message. */
export function reasonOf({ message, got }: ErrorData): string {
  const [first, second] = got?.split('\n') ?? [];
  // As a build's error is told: its first error, what was left out, the last lines.
  return (second === '…' && first?.trim()) || (message.split('\n')[0] ?? '');
}
