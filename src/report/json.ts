import type { Event, Listener } from './events.ts';

/** One JSON object a line, with the time in milliseconds since 1970. Download progress at most four times a second. */
export function jsonRenderer(out: NodeJS.WritableStream, now: () => number = Date.now): Listener {
  let last = 0;
  return (event: Event) => {
    const time = now();
    if (event.type === 'source-progress') {
      if (time - last < 250) return;
      last = time;
    }
    out.write(`${JSON.stringify({ time, ...event })}\n`);
  };
}
