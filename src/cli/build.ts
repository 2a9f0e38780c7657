import { runBuild } from '../build/run.ts';
import { renderer } from '../report/render.ts';
import { readyEngine } from '../setup/setup.ts';
import { type CommonOptions, planned } from './context.ts';
import { interruptSignal } from './interrupt.ts';

interface BuildOptions extends CommonOptions {
  cache: boolean;
  debug?: boolean;
  setup: boolean;
  yes?: boolean;
  progress: string;
}

/** `pvgrub build`: plan, make sure of an engine, build. */
export async function buildCommand(selectors: string[], options: BuildOptions): Promise<void> {
  const emit = renderer(options.progress);
  const { settings, cells } = await planned(selectors, options, 'default');
  const say = (text: string) => emit({ type: 'note', text });
  const signal = interruptSignal(say);
  const allowed = options.setup && !['1', 'true', 'yes'].includes(process.env['PVGRUB_NO_SETUP'] ?? '');
  const { engine, release } = await readyEngine({
    wanted: settings.engine,
    allowed,
    yes: options.yes ?? false,
    offline: settings.offline,
    signal,
    say,
  });
  try {
    const result = await runBuild(cells, {
      engine,
      settings,
      cwd: process.cwd(),
      emit,
      signal,
      force: !options.cache,
      debug: options.debug ?? false,
    });
    process.exitCode = result.exit;
  } finally {
    await release();
  }
}
