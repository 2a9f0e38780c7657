import type { Strategy } from './strategies.ts';

/** The system's Docker engine. */
export const dockerSocket: Strategy = {
  name: "the system's Docker",
  endpoints: () => ['unix:///var/run/docker.sock'],
};
