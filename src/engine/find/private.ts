import { privateSocket } from '../../setup/private-paths.ts';
import type { Strategy } from './strategies.ts';

/** The engine that pvgrub-forge starts for itself (src/setup). */
export const privateEngine: Strategy = {
  name: 'our private engine',
  endpoints: (env) => [`unix://${privateSocket(env)}`],
};
