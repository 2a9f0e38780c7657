import type { FetchEvents } from '../sources/fetch.ts';
import type { Listener } from './events.ts';

/** What fetching sources tells, as events of a run. */
export function sourceEvents(emit: Listener): FetchEvents {
  const name = (ref: { name: string; version: string }) => `${ref.name} ${ref.version}`;
  return {
    started: (ref, origin) => emit({ type: 'source-started', source: name(ref), origin }),
    progress: (ref, done, total) => emit({ type: 'source-progress', source: name(ref), done, total }),
    done: (ref, { record, proof }, cached) =>
      emit({ type: 'source-done', source: name(ref), sha256: record.sha256, size: record.size, cached, proof, origin: record.origin }),
    warn: (text) => emit({ type: 'warning', text }),
  };
}
