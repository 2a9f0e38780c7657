import { InterruptedError } from '../errors.ts';

/**
 * A signal that Ctrl-C or SIGTERM aborts, so that work is cleaned up. A second Ctrl-C ends the process at once; what
 * it leaves on the engine is swept by the next run.
 */
export function interruptSignal(say: (text: string) => void): AbortSignal {
  const controller = new AbortController();
  let asked = 0;
  const stop = () => {
    if (++asked > 1) process.exit(130);
    say('stopping: containers are being removed; once more kills at once');
    controller.abort(new InterruptedError());
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return controller.signal;
}
