import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../config/settings.ts';
import { type BuildImage, ensureBuildImage, presentBuildImage, sameBuildImage } from '../engine/build-image.ts';
import { abandon, type Engine, engineName, greet } from '../engine/engine.ts';
import type { ImageOptions } from '../engine/image.ts';
import { archivedImage, archiveImage } from '../engine/image-archive.ts';
import { sweep } from '../engine/labels.ts';
import { Shelf } from '../engine/shelf.ts';
import { EngineError, errorData } from '../errors.ts';
import type { Listener } from '../report/events.ts';
import { Store } from '../sources/store.ts';
import { type BootChoice, BootStage } from './boot-stage.ts';
import { Budget, type Share } from './budget.ts';

/** Memory that the engine's machine must have for each cell side by side, in bytes, for cells to be built in memory. */
export const ROOM_FOR_MEMORY = 2 * 2 ** 30;

/** How often an engine that works is asked whether it is still there, and how long it may take to answer. */
const ASK_MS = 10_000;
/** So often in a row it may fail to. */
const MISSES = 3;
/** How long making an engine ready may take to stop when the run is over. */
const STOP_MS = 20_000;

/** An engine to build on, and what may be used of it. */
export interface FarmEngine extends Share {
  engine: Engine;
}

/** What a farm needs of its run. */
export interface FarmContext {
  engines: readonly FarmEngine[];
  settings: Settings;
  cwd: string;
  labels: Record<string, string>;
  signal: AbortSignal;
  emit: Listener;
  /** How images are booted; undefined: they are not. */
  choice: BootChoice | undefined;
  /** How many cells there are. */
  cells: number;
  /** {@link ASK_MS} if not said. */
  askMs?: number | undefined;
}

/** One engine that takes part: everything that a cell needs there. */
export interface Site {
  engine: Engine;
  /** What it is called where several are spoken of. */
  name: string;
  image: BuildImage;
  shelf: Shelf;
  budget: Budget;
  inMemory: boolean;
  boot: BootStage | undefined;
  /** Aborted when the run ends early, or the engine is lost. */
  signal: AbortSignal;
}

interface Member extends Site {
  lost: AbortController;
  busy: number;
}

interface Waiter {
  without: ReadonlySet<Site>;
  give: (site: Site) => void;
  refuse: (error: unknown) => void;
}

/**
 * The engines of a run. All have the very same build image, so that it does not matter which of them builds a cell. One that
 * does not answer any more is lost for the rest of the run; what it was building ends with ENGINE_LOST, and can be
 * built on another.
 */
export class Farm {
  private readonly context: FarmContext;
  private readonly members: Member[] = [];
  private readonly waiters: Waiter[] = [];
  private readonly over = new AbortController();
  /** Engines that are being made ready. */
  private coming = 0;
  private joining: Promise<unknown> = Promise.resolve();
  private archive: Promise<unknown> | undefined;

  constructor(context: FarmContext) {
    this.context = context;
  }

  /** Cells side by side on all engines together, and their cores. */
  get size(): { side: number; cores: number } {
    const { engines, cells } = this.context;
    const side = engines.reduce((sum, { cores, cells: at }) => sum + new Budget(cores, Math.min(at, cells)).slots, 0);
    return { side: Math.min(side, cells), cores: engines.reduce((sum, { cores }) => sum + cores, 0) };
  }

  /**
   * Make engines ready: gives the build image as soon as one has it; the others come in later, each with the same.
   * @throws what the last engine says, where none can be made ready
   */
  async open(): Promise<BuildImage> {
    const { engines } = this.context;
    let failure: unknown;
    for (const [i, first] of engines.entries()) {
      try {
        const reference = await this.join(first, (options) => ensureBuildImage(first.engine, options));
        const others = engines.slice(i + 1);
        this.coming = others.length;
        this.joining = Promise.all(others.map((other) => this.joinLater(other, reference)));
        return reference.image;
      } catch (error) {
        this.context.signal.throwIfAborted();
        failure = error;
        if (i < engines.length - 1) this.leftOut(first.engine, error);
      }
    }
    throw failure;
  }

  /**
   * Room for one cell, on the engine where it gets most; waits until there is some. To be given back with {@link leave}.
   * @param without engines that it shall not be on
   * @throws EngineError ENGINE_LOST where no engine is left, or comes
   */
  enter(without: ReadonlySet<Site>): Promise<Site> {
    return new Promise((resolve, reject) => {
      this.waiters.push({ without, give: resolve, refuse: reject });
      this.serve();
    });
  }

  /** Give back what {@link enter} gave. */
  leave(site: Site): void {
    (site as Member).busy--;
    this.serve();
  }

  /** How many of `wanting` cells that want cores will want them of this engine: there is room for the others elsewhere. */
  wanting(site: Site, wanting: number): number {
    const elsewhere = this.members.filter((other) => other !== site && !other.lost.signal.aborted);
    return Math.max(0, wanting - elsewhere.reduce((sum, other) => sum + roomOf(other), 0));
  }

  /** Whether an engine is there no more, asked now. Where it is not, its other cells end, too. */
  async isLost(site: Site): Promise<boolean> {
    const member = site as Member;
    for (let missed = 0; !member.lost.signal.aborted; ) {
      if (await this.answers(member.engine)) return false;
      if (++missed >= MISSES) this.lose(member);
    }
    return true;
  }

  /** Whether a cell could be built on an engine other than these. */
  hasOther(without: ReadonlySet<Site>): boolean {
    return this.coming > 0 || this.members.some((member) => !member.lost.signal.aborted && !without.has(member));
  }

  /** Remove everything; no cell is being built any more. */
  async close(): Promise<void> {
    this.over.abort();
    // One that has stopped to answer while it was made ready would be waited for without end.
    const late = this.context.engines.filter(({ engine }) => this.members.every((member) => member.engine !== engine));
    const patience = setTimeout(() => late.map(({ engine }) => abandon(engine)), STOP_MS);
    await this.joining;
    clearTimeout(patience);
    for (const { shelf } of this.members) await shelf.remove();
  }

  private options(): ImageOptions {
    const { settings, labels, signal, emit } = this.context;
    return { settings, labels, signal: AbortSignal.any([signal, this.over.signal]), say: (text) => emit({ type: 'note', text }) };
  }

  /** Make an engine ready; where there are others, one that stops to answer meanwhile is not waited for. */
  private join(farm: FarmEngine, ready: (options: ImageOptions) => Promise<BuildImage>): Promise<Member> {
    const { engines, signal } = this.context;
    const done = new AbortController();
    const work = this.ready(farm, ready).finally(() => done.abort());
    const silence = async (): Promise<never> => {
      if (engines.length > 1) await this.silent(farm.engine, done.signal);
      else await over(AbortSignal.any([signal, this.over.signal]), done.signal);
      if (!done.signal.aborted) abandon(farm.engine);
      return work as Promise<never>;
    };
    return Promise.race([work, silence()]);
  }

  private async ready({ engine, ...share }: FarmEngine, ready: (options: ImageOptions) => Promise<BuildImage>): Promise<Member> {
    const { emit, labels, signal, choice, cells, engines } = this.context;
    const swept = await sweep(engine);
    if (swept > 0) emit({ type: 'note', text: `removed ${swept} leftovers of a run that was killed` });
    const image = await ready(this.options());
    const budget = new Budget(share.cores, Math.min(share.cells, cells));
    const lost = new AbortController();
    const member: Member = {
      engine,
      name: engineName(engine),
      image,
      shelf: new Shelf(engine, image.id, labels, (text) => emit({ type: 'warning', text })),
      budget,
      inMemory: engine.memory / budget.slots >= ROOM_FOR_MEMORY,
      boot: undefined,
      lost,
      signal: AbortSignal.any([signal, lost.signal]),
      busy: 0,
    };
    if (choice) member.boot = new BootStage({ ...this.context, engine, signal: member.signal, choice });
    // An engine that cannot have it would fail each cell after its build, where another could boot it.
    if (engines.length > 1) await member.boot?.ready();
    this.members.push(member);
    if (this.context.engines.length > 1) void this.watch(member);
    this.serve();
    return member;
  }

  private async joinLater(other: FarmEngine, reference: Member): Promise<void> {
    try {
      await this.join(other, async (options) => {
        const there = await presentBuildImage(other.engine, reference.image.digest, options);
        if (there.right) return there.right;
        this.archive ??= this.putIntoStore(reference, options);
        await this.archive;
        return sameBuildImage(other.engine, reference.image, options);
      });
    } catch (error) {
      if (!this.context.signal.aborted && !this.over.signal.aborted) this.leftOut(other.engine, error);
    } finally {
      this.coming--;
      this.serve();
    }
  }

  /** The build image's archive, from which every other engine can have the same. */
  private async putIntoStore({ engine, image }: Member, options: ImageOptions): Promise<void> {
    const store = new Store(this.context.settings.store);
    if (await archivedImage(store, image.digest)) return;
    options.say('putting the build image into the store, for the other engines');
    await archiveImage(engine, image, store, options.labels, options.signal).catch((error: unknown) => {
      options.signal?.throwIfAborted();
      this.context.emit({ type: 'warning', text: `the build image could not be put into the store: ${errorData(error).message}` });
    });
  }

  private leftOut(engine: Engine, error: unknown): void {
    const { message } = errorData(error);
    this.context.emit({ type: 'warning', text: `${engineName(engine)} is left out: ${message}` });
  }

  /** Give room to those who wait for it, in their order. */
  private serve(): void {
    const alive = this.members.filter(({ lost }) => !lost.signal.aborted);
    for (const waiter of [...this.waiters]) {
      const fit = alive.filter((member) => !waiter.without.has(member));
      // The engine that would give it most cores.
      const [best] = fit.filter((member) => roomOf(member) > 0).toSorted((a, b) => shareAt(b) - shareAt(a));
      if (!best && (fit.length > 0 || this.coming > 0)) continue;
      this.waiters.splice(this.waiters.indexOf(waiter), 1);
      if (best) {
        best.busy++;
        waiter.give(best);
      } else
        waiter.refuse(
          new EngineError('ENGINE_LOST', 'no engine is left', { hint: 'see that they run, then run again: what was finished is kept' }),
        );
    }
  }

  private async watch(member: Member): Promise<void> {
    const over = AbortSignal.any([this.over.signal, member.lost.signal]);
    await this.silent(member.engine, over);
    if (!over.aborted) this.lose(member);
  }

  /** Settles when an engine has not answered so often in a row, or there is no need to ask any more. */
  private async silent(engine: Engine, over: AbortSignal): Promise<void> {
    const { askMs = ASK_MS } = this.context;
    for (let missed = 0; missed < MISSES; ) {
      await sleep(askMs, undefined, { signal: over }).catch(() => {});
      if (over.aborted) return;
      missed = (await this.answers(engine)) ? 0 : missed + 1;
    }
  }

  private async answers(engine: Engine): Promise<boolean> {
    return greet(engine.endpoint, engine.foundBy, this.context.askMs ?? ASK_MS).then(
      () => true,
      () => false,
    );
  }

  private lose(member: Member): void {
    if (member.lost.signal.aborted) return;
    const left = this.members.filter((other) => other !== member && !other.lost.signal.aborted).length + this.coming;
    if (!this.context.signal.aborted) this.context.emit({ type: 'engine-lost', engine: member.name, left });
    member.lost.abort(
      new EngineError('ENGINE_LOST', `${member.name} does not answer any more`, { hint: 'see that it runs, then run again' }),
    );
    abandon(member.engine);
    this.serve();
  }
}

/** Settles some time after work was to end, so that it can; or when it has. */
async function over(end: AbortSignal, done: AbortSignal): Promise<void> {
  const either = AbortSignal.any([end, done]);
  if (!either.aborted) await once(either, 'abort');
  await sleep(STOP_MS, undefined, { signal: done }).catch(() => {});
}

const roomOf = ({ budget, busy }: Member) => budget.slots - busy;
const shareAt = ({ budget, busy }: Member) => budget.cores / (busy + 1);
