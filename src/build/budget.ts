import type { EngineWish, Settings } from '../config/settings.ts';
import type { Engine } from '../engine/engine.ts';

/** What a run may use of an engine: cores in all, and cells side by side. */
export interface Share {
  cores: number;
  cells: number;
}

/**
 * What may be used of an engine: what is said for it, or for every engine; else all that it has, and of one that is
 * reached by a socket, and so is taken to be on this machine, no more than this process may use.
 */
export function shareOf(
  { endpoint, cores: has }: Pick<Engine, 'endpoint' | 'cores'>,
  { cores: here, given }: Pick<Settings, 'cores' | 'given'>,
  wish: Partial<EngineWish> = {},
): Share {
  const cores = wish.cores ?? given.cores ?? Math.max(1, endpoint.startsWith('unix:') ? Math.min(here, has) : has);
  return { cores, cells: Math.min(wish.cells ?? given.cells ?? cores, cores) };
}

/**
 * Shares a number of cores among cells: each gets its own `-j`, because a jobserver cannot be shared between
 * containers. Pure bookkeeping.
 */
export class Budget {
  /** Cores in all. */
  readonly cores: number;
  private free: number;
  private running = 0;
  private readonly side: number;

  /** @param cores cores in all; @param side cells side by side at the most */
  constructor(cores: number, side: number) {
    this.cores = cores;
    this.free = cores;
    this.side = Math.max(1, Math.min(side, cores));
  }

  /** How many cells run side by side. */
  get slots(): number {
    return this.side;
  }

  /** Cores for a cell that starts now, while `waiting` others will want a slot too: an equal share of what is free, at least one. */
  take(waiting: number): number {
    const sharers = Math.max(1, Math.min(this.side - this.running, waiting + 1));
    const share = Math.max(1, Math.floor(this.free / sharers));
    this.free -= share;
    this.running++;
    return share;
  }

  /** Give back what {@link take} gave. */
  give(share: number): void {
    this.free += share;
    this.running--;
  }
}
