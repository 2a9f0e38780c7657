import { type Share, shareOf } from '../build/budget.ts';
import type { FarmEngine } from '../build/farm.ts';
import type { EngineWish, Settings } from '../config/settings.ts';
import { type Engine, engineName } from '../engine/engine.ts';
import { errorData } from '../errors.ts';
import type { Listener } from '../report/events.ts';
import type { ReadyEngine } from '../setup/setup.ts';

/** What a command that needs an engine takes. */
export interface SetupFlags {
  setup: boolean;
  yes?: boolean;
}

interface Answer extends ReadyEngine {
  wish: EngineWish;
}

/**
 * Do work with an engine that answers, the first of those that settings name, set up first where that is allowed; it is
 * released when the work is done, or Ctrl-C ended it.
 */
export async function withEngine(
  settings: Settings,
  options: SetupFlags,
  emit: Listener,
  work: (engine: Engine, signal: AbortSignal, share: Share) => Promise<void>,
): Promise<void> {
  const { ready, signal } = await readier(settings, options, emit);
  let failure: unknown;
  for (const wish of settings.engines) {
    let answer: Answer;
    try {
      answer = await ready(wish);
    } catch (error) {
      signal.throwIfAborted();
      failure ??= error;
      continue;
    }
    try {
      return await work(answer.engine, signal, shareOf(answer.engine, settings, wish));
    } finally {
      await answer.release();
    }
  }
  throw failure;
}

/** The same with every engine that settings name and that answers; of the others it is told that they are left out. */
export async function withEngines(
  settings: Settings,
  options: SetupFlags,
  emit: Listener,
  work: (engines: FarmEngine[], signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { ready, signal } = await readier(settings, options, emit);
  const results = await Promise.allSettled(settings.engines.map(ready));
  const answers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  try {
    signal.throwIfAborted();
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    if (answers.length === 0) throw failures[0];
    for (const failure of failures) emit({ type: 'warning', text: `left out: ${errorData(failure).message}` });
    await work(distinct(answers, settings, emit), signal);
  } finally {
    await Promise.all(answers.map(({ release }) => release()));
  }
}

/** One engine that is named by two addresses is one: its cores would be counted twice. */
function distinct(answers: readonly Answer[], settings: Settings, emit: Listener): FarmEngine[] {
  const engines: FarmEngine[] = [];
  for (const { engine, wish } of answers) {
    const same = engines.find(({ engine: other }) => other.endpoint === engine.endpoint || (other.id && other.id === engine.id));
    if (same) emit({ type: 'warning', text: `${engineName(engine)} is the same engine as ${same.engine.endpoint}` });
    else engines.push({ engine, ...shareOf(engine, settings, wish) });
  }
  return engines;
}

async function readier(settings: Settings, options: SetupFlags, emit: Listener) {
  const [{ readyEngine }, { interruptSignal }] = await Promise.all([import('../setup/setup.ts'), import('./interrupt.ts')]);
  const say = (text: string) => emit({ type: 'note', text });
  const signal = interruptSignal(say);
  const allowed = options.setup && !['1', 'true', 'yes'].includes(process.env['PVGRUB_NO_SETUP'] ?? '');
  const ready = async (wish: EngineWish): Promise<Answer> => {
    const { offline } = settings;
    return { wish, ...(await readyEngine({ wanted: wish.address, allowed, yes: options.yes ?? false, offline, signal, say })) };
  };
  return { ready, signal };
}
