import type { Event } from './events.ts';

/** How long a run will still take. Pure but for its own state: times are milliseconds of the caller's clock. */
export class Remaining {
  private side = 1;
  private readonly waiting = new Map<string, number>();
  private readonly running = new Map<string, { expected: number; since: number }>();
  private total = 0;
  /** What finished cells took, and were expected to take: how fast this machine is now. */
  private took = 0;
  private expected = 0;

  /** Take what happened into account. */
  take(event: Event, now: number): void {
    switch (event.type) {
      case 'run-started':
        this.side = Math.max(1, event.side);
        this.total = event.cells.length;
        for (const cell of event.cells) {
          const seconds = event.expected?.[cell];
          if (seconds !== undefined) this.waiting.set(cell, seconds * 1000);
        }
        break;
      case 'cell-started': {
        const expected = this.waiting.get(event.cell);
        this.waiting.delete(event.cell);
        if (expected !== undefined) this.running.set(event.cell, { expected, since: now });
        break;
      }
      case 'cell-returned': {
        const cell = this.running.get(event.cell);
        this.running.delete(event.cell);
        if (cell) this.waiting.set(event.cell, cell.expected);
        break;
      }
      case 'cell-done':
      case 'cell-reproduced':
      case 'cell-failed':
      case 'cell-cached': {
        const cell = this.running.get(event.cell);
        if (cell && (event.type === 'cell-done' || event.type === 'cell-reproduced')) {
          this.took += now - cell.since;
          this.expected += cell.expected;
        }
        this.running.delete(event.cell);
        this.waiting.delete(event.cell);
        break;
      }
    }
  }

  /** How many cells are done with, of how many. */
  get done(): [number, number] {
    return [this.total - this.waiting.size - this.running.size, this.total];
  }

  /** How this machine's time is to the expected one, by what is finished. */
  private get pace(): number {
    return this.expected > 0 ? this.took / this.expected : 1;
  }

  /** Milliseconds until a running cell is expected to end, 0 for one that is over its time; undefined where nothing is expected. */
  of(cell: string, now: number): number | undefined {
    const running = this.running.get(cell);
    return running && Math.max(0, running.expected * this.pace - (now - running.since));
  }

  /**
   * Milliseconds until the last cell ends: those that run to their expected end, the waiting ones after them where
   * there is room first; corrected by what finished cells took. Undefined where nothing is expected.
   */
  milliseconds(now: number): number | undefined {
    if (this.waiting.size + this.running.size === 0) return undefined;
    const { pace } = this;
    // One that is over its time is taken to be nearly done.
    const loads = [...this.running.values()].map(({ expected, since }) => Math.max(expected * pace - (now - since), 0));
    while (loads.length < this.side) loads.push(0);
    for (const expected of [...this.waiting.values()].toSorted((a, b) => b - a)) {
      const least = loads.indexOf(Math.min(...loads));
      loads[least] = (loads[least] as number) + expected * pace;
    }
    return Math.max(...loads);
  }
}

/** "3 of 16 cells, about 12 min left"; undefined for a run of one cell, whose own line says enough. */
export function remainingText(remaining: Remaining, now: number): string | undefined {
  const [done, total] = remaining.done;
  const left = remaining.milliseconds(now);
  if (total < 2 || left === undefined) return undefined;
  const minutes = Math.ceil(left / 60_000);
  return `${done} of ${total} cells, ${left < 10_000 ? 'nearly done' : `about ${minutes} min left`}`;
}
