import { runBuild } from '../build/run.ts';
import { parseShard, shardOf } from '../plan/expected.ts';
import type { Listener } from '../report/events.ts';
import { type ReportFlags, reporter } from '../report/files.ts';
import { type BootFlags, bootChoice } from './boot-flags.ts';
import { type CommonOptions, planned } from './context.ts';
import { withEngines } from './engines.ts';

interface BuildOptions extends CommonOptions, BootFlags, ReportFlags {
  boot?: boolean;
  shard?: string;
  cache: boolean;
  debug?: boolean;
  setup: boolean;
  yes?: boolean;
}

/** `pvgrub build`: plan, make sure of an engine, build, and with --boot boot every image. */
export async function buildCommand(selectors: string[], options: BuildOptions): Promise<void> {
  const report = reporter(options);
  let lost = false;
  const emit: Listener = (event) => {
    lost ||= event.type === 'engine-lost';
    report(event);
  };
  const boot = options.boot ? bootChoice(options) : undefined;
  const part = options.shard === undefined ? undefined : parseShard(options.shard);
  const { settings, cells: all } = await planned(selectors, options, 'default');
  const cells = part ? shardOf(all, part) : all;
  if (part && cells.length === 0) {
    process.stderr.write(`pvgrub: part ${options.shard} of ${all.length} cells is empty; nothing to do\n`);
    return;
  }
  await withEngines(settings, options, emit, async (engines, signal) => {
    const result = await runBuild(cells, {
      engines,
      settings,
      cwd: process.cwd(),
      emit,
      signal,
      force: !options.cache,
      debug: options.debug ?? false,
      boot,
    });
    process.exitCode = result.exit;
    // Requests to an engine that hangs may never end, and would keep this process.
    if (lost) setTimeout(() => process.exit(), 10_000).unref();
  });
}
