import type { SourceRef } from '../catalog/types.ts';
import type { Settings } from '../config/settings.ts';
import type { BuildImage } from '../engine/build-image.ts';
import { errorData, errorText, SourceError } from '../errors.ts';
import { inputHash } from '../plan/input-hash.ts';
import type { Cell } from '../plan/plan.ts';
import type { Listener } from '../report/events.ts';
import { sourceEvents } from '../report/source-events.ts';
import { ensureSource, type FetchContext, isGiven } from '../sources/fetch.ts';
import { isTrusted } from '../sources/pins.ts';
import { Store, type StoredSource } from '../sources/store.ts';
import { finished } from './artifacts.ts';
import type { Metadata } from './metadata.ts';

/** What it needs of its run. */
export interface SourcesContext {
  settings: Settings;
  cwd: string;
  signal: AbortSignal;
}

/** The sources of a run: each is made sure of once, whichever cells want it. */
export class RunSources {
  private readonly store: Store;
  private readonly context: SourcesContext;
  private readonly fetch: FetchContext;
  private readonly emit: Listener;
  private readonly wanted = new Map<string, Promise<StoredSource>>();

  constructor(context: SourcesContext, emit: Listener) {
    this.context = context;
    this.emit = emit;
    this.store = new Store(context.settings.store);
    this.fetch = {
      store: this.store,
      settings: context.settings,
      cwd: context.cwd,
      signal: context.signal,
      events: sourceEvents(emit),
    };
  }

  /** One source, verified; asked for once in a run, whichever cells want it. */
  private one(ref: SourceRef): Promise<StoredSource> {
    const key = `${ref.name}@${ref.version}`;
    let promise = this.wanted.get(key);
    if (!promise) {
      // A part of another source's tarball need not be fetched where that tarball is.
      const whole = ref.within && this.wanted.get(`${ref.within.name}@${ref.within.version}`);
      promise = Promise.allSettled([whole]).then(() => ensureSource(ref, this.fetch));
      promise.catch((error) => this.emit({ type: 'source-failed', source: `${ref.name} ${ref.version}`, error: errorData(error) }));
      this.wanted.set(key, promise);
    }
    return promise;
  }

  /** All sources of a cell, verified. Every missing one is asked for before the failures are told. */
  async of(cell: Cell): Promise<Map<string, StoredSource>> {
    const { sources } = cell.recipe;
    const answers = await Promise.allSettled(sources.map((ref) => this.one(ref)));
    const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
    if (failures.length > 0) throw joined(failures);
    return new Map(await Promise.all(sources.map(async (ref) => [ref.name, await this.one(ref)] as const)));
  }

  /** The result that is there from an earlier run with just the same inputs. Reads no source that a pin proves. */
  async alreadyBuilt(cell: Cell, image: BuildImage): Promise<Metadata | undefined> {
    const { trust, origins, output } = this.context.settings;
    const unpinned: Record<string, string> = {};
    for (const ref of cell.recipe.sources) {
      if (!isTrusted(ref, trust)) continue;
      // What the user's origin gives now decides; where it gives nothing, building tells so.
      const stored = isGiven(ref, origins) ? await this.one(ref).catch(() => undefined) : await this.store.find(ref, true);
      if (!stored) return undefined;
      if (stored.proof === undefined) unpinned[ref.name] = stored.record.sha256;
    }
    return finished(output, cell, inputHash(cell.recipe, image.digest, unpinned));
  }
}

/** One error for several sources that cannot be had: each told in full. */
function joined(failures: readonly unknown[]): unknown {
  const errors = failures.filter((error) => error instanceof SourceError);
  // A fault of another kind, or a full disk, is the reason for all of them.
  const whole = failures.find((error) => !(error instanceof SourceError) || error.code === 'STORE_DISK_FULL');
  const [first] = errors;
  if (whole !== undefined || first === undefined || errors.length === 1) return whole ?? first;
  const code = errors.every((error) => error.code === first.code) ? first.code : 'SOURCE_UNAVAILABLE';
  return new SourceError(code, `${errors.length} sources cannot be had:\n${errors.map(errorText).join('\n')}`);
}
