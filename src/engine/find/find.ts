import { stat } from 'node:fs/promises';
import { EngineError } from '../../errors.ts';
import { ifThere } from '../../util/files.ts';
import { type Engine, greet } from '../engine.ts';
import { dockerHost } from './docker-host.ts';
import { dockerRootless } from './docker-rootless.ts';
import { dockerSocket } from './docker-socket.ts';
import { podman } from './podman.ts';
import { privateEngine } from './private.ts';
import type { Strategy } from './strategies.ts';

/** All ways, in the order they are tried. */
export const STRATEGIES: readonly Strategy[] = [dockerHost, dockerSocket, dockerRootless, podman, privateEngine];

/**
 * Find an engine that answers.
 * @param wanted "auto" for all ways in order, "private" for our own only, or an endpoint to take and no other
 * @throws EngineError ENGINE_NOT_FOUND with what each place answered
 */
export async function findEngine(
  wanted: string,
  env: NodeJS.ProcessEnv = process.env,
  ways: readonly Strategy[] = STRATEGIES,
): Promise<Engine> {
  const strategies: readonly Strategy[] =
    wanted === 'auto' ? ways : wanted === 'private' ? [privateEngine] : [{ name: '--engine', endpoints: () => [wanted] }];
  const tried: string[] = [];
  for (const { name, endpoints } of strategies) {
    for (const endpoint of endpoints(env)) {
      try {
        const path = /^unix:\/\/(.+)$/.exec(endpoint)?.[1];
        if (path !== undefined && !(await ifThere(stat(path)))) throw new Error('no such socket');
        return await greet(endpoint, name);
      } catch (error) {
        if (error instanceof EngineError) throw error;
        const { code, message } = error as NodeJS.ErrnoException;
        tried.push(`  ${name} (${endpoint}): ${message || code}`);
        // Someone who names an engine means that one.
        if (name === 'DOCKER_HOST' || name === '--engine') {
          throw new EngineError('ENGINE_NOT_FOUND', `the engine named by ${name} does not answer: ${endpoint}`, {
            got: message || code || '',
            hint: 'see that it runs and that you may use it',
            cause: error,
          });
        }
      }
    }
  }
  throw new EngineError('ENGINE_NOT_FOUND', `no container engine answers; tried:\n${tried.join('\n')}`, {
    hint: 'start Docker or Podman (systemctl start podman.socket), name one with --engine, or on Debian as root let pvgrub set up its own (without --no-setup)',
  });
}
