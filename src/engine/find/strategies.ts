import type { Endpoint } from '../engine.ts';

/** One way to find an engine: where it would listen. Tried in order; the first that answers is taken. */
export interface Strategy {
  name: string;
  endpoints: (env: NodeJS.ProcessEnv) => Endpoint[];
}
