/**
 * Shares a number of cores among cells: each gets its own `-j`, because a jobserver cannot be shared between
 * containers. Pure bookkeeping.
 */
export class Budget {
  private free: number;
  private running = 0;
  private readonly side: number;

  /** @param cores cores in all; @param side cells side by side at the most */
  constructor(cores: number, side: number) {
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
