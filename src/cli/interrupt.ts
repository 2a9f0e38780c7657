import { InterruptedError } from '../errors.ts';

/**
 * A signal that Ctrl-C, SIGTERM, a lost terminal or a closed output aborts, so that work is cleaned up. A second Ctrl-C ends the process at once; what
 * it leaves on the engine is swept by the next run.
 */
export function interruptSignal(say: (text: string) => void): AbortSignal {
  const controller = new AbortController();
  let asked = 0;
  const stop = () => {
    if (++asked > 1) process.exit(130);
    say('stopping, and cleaning up; once more kills at once');
    controller.abort(new InterruptedError());
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  // A reader of our output that goes away ends the work as Ctrl-C does, once.
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error');
    stream.on('error', () => {
      if (asked === 0) {
        asked++;
        controller.abort(new InterruptedError());
      }
    });
  }
  return controller.signal;
}
