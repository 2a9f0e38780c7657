import { greet } from '../engine/engine.ts';
import { renderer } from '../report/render.ts';
import { runReproduce } from '../reproduce/run.ts';
import { chosenVariations } from '../reproduce/variations.ts';
import { type CommonOptions, planned, withEngine } from './context.ts';

interface ReproduceOptions extends CommonOptions {
  vary?: string;
  otherEngine?: string;
  setup: boolean;
  yes?: boolean;
  progress: string;
}

/** `pvgrub reproduce`: build cells again under variations, and compare. */
export async function reproduceCommand(selectors: string[], options: ReproduceOptions): Promise<void> {
  const emit = renderer(options.progress);
  const variations = chosenVariations(options.vary);
  const { settings, cells } = await planned(selectors, options, 'default');
  await withEngine(settings, options, emit, async (engine, signal) => {
    const other = options.otherEngine === undefined ? undefined : await greet(options.otherEngine, '--other-engine');
    const result = await runReproduce(cells, { engine, other, settings, cwd: process.cwd(), emit, signal, variations });
    process.exitCode = result.exit;
  });
}
