import type { Strategy } from './strategies.ts';

/** Docker in rootless mode: its socket lies in the user's run folder. */
export const dockerRootless: Strategy = {
  name: 'rootless Docker',
  endpoints: (env) => [
    ...(env['XDG_RUNTIME_DIR'] ? [`unix://${env['XDG_RUNTIME_DIR']}/docker.sock`] : []),
    ...(env['HOME'] ? [`unix://${env['HOME']}/.docker/run/docker.sock`] : []),
  ],
};
