import { join } from 'node:path';
import { stateFolder } from '../config/settings.ts';

/** Where the private engine keeps its data (images, volumes). It stays between runs, so that the build image does. */
export function privateData(env: NodeJS.ProcessEnv = process.env): string {
  return join(stateFolder(env), 'engine');
}

/** Where its sockets, process id and users are; short, because a socket's path may have 107 bytes at the most. */
export function privateRun(env: NodeJS.ProcessEnv = process.env): string {
  return env['PVGRUB_ENGINE_RUN'] || '/run/pvgrub-forge';
}

/** The private engine's API socket. */
export function privateSocket(env: NodeJS.ProcessEnv = process.env): string {
  return join(privateRun(env), 'docker.sock');
}
