// Without imports at run time: a configuration that only calls defineConfig must cost nothing to load.
import type { ConfigInput } from './schema.ts';

/** Gives the type of a configuration to editors and to `tsc`; returns it unchanged. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config;
}

export type { ConfigInput };
