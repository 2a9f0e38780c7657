import { UsageError } from '../errors.ts';
import type { Listener } from './events.ts';
import { jsonRenderer } from './json.ts';
import { plainRenderer } from './plain.ts';
import { ttyRenderer } from './tty.ts';

/** The kinds of display. */
export const PROGRESS = ['auto', 'tty', 'plain', 'json', 'quiet'] as const;
/** One kind of display. */
export type Progress = (typeof PROGRESS)[number];

/**
 * The listener for a kind of progress display. "auto" is live on a terminal and plain lines elsewhere; JSON lines go
 * to stdout, all else to stderr.
 * @throws UsageError OPTION_INVALID
 */
export function renderer(progress: string, env: NodeJS.ProcessEnv = process.env): Listener {
  if (!PROGRESS.includes(progress as Progress))
    throw new UsageError('OPTION_INVALID', `--progress ${progress}`, { expected: PROGRESS.join(', ') });
  const live = process.stderr.isTTY && env['TERM'] !== 'dumb' && !env['CI'];
  const kind = progress === 'auto' ? (live ? 'tty' : 'plain') : progress;
  if (kind === 'json') return jsonRenderer(process.stdout);
  if (kind === 'quiet') return () => {};
  return kind === 'tty' ? ttyRenderer(process.stderr) : plainRenderer(process.stderr);
}
