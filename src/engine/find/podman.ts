import type { Strategy } from './strategies.ts';

/** Podman's Docker-compatible socket: the user's own, then the system's. Docker's clients do not look there. */
export const podman: Strategy = {
  name: 'Podman',
  endpoints: (env) => [
    ...(env['XDG_RUNTIME_DIR'] ? [`unix://${env['XDG_RUNTIME_DIR']}/podman/podman.sock`] : []),
    'unix:///run/podman/podman.sock',
  ],
};
