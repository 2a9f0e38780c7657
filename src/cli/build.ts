import { runBuild } from '../build/run.ts';
import { renderer } from '../report/render.ts';
import { type BootFlags, bootChoice } from './boot-flags.ts';
import { type CommonOptions, planned, withEngine } from './context.ts';

interface BuildOptions extends CommonOptions, BootFlags {
  boot?: boolean;
  cache: boolean;
  debug?: boolean;
  setup: boolean;
  yes?: boolean;
  progress: string;
}

/** `pvgrub build`: plan, make sure of an engine, build, and with --boot boot every image. */
export async function buildCommand(selectors: string[], options: BuildOptions): Promise<void> {
  const emit = renderer(options.progress);
  const boot = options.boot ? bootChoice(options) : undefined;
  const { settings, cells } = await planned(selectors, options, 'default');
  await withEngine(settings, options, emit, async (engine, signal) => {
    const result = await runBuild(cells, {
      engine,
      settings,
      cwd: process.cwd(),
      emit,
      signal,
      force: !options.cache,
      debug: options.debug ?? false,
      boot,
    });
    process.exitCode = result.exit;
  });
}
