import type { Strategy } from './strategies.ts';

/** The environment's DOCKER_HOST, as Docker's own client reads it. */
export const dockerHost: Strategy = {
  name: 'DOCKER_HOST',
  endpoints: (env) => (env['DOCKER_HOST'] ? [env['DOCKER_HOST']] : []),
};
