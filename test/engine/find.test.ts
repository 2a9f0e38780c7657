import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findEngine, STRATEGIES } from '../../src/engine/find/find.ts';
import type { Strategy } from '../../src/engine/find/strategies.ts';
import type { EngineError } from '../../src/errors.ts';
import { fakeDaemon, greeting } from '../support/fake-daemon.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const ENV = { HOME: '/home/me', XDG_RUNTIME_DIR: '/run/user/7', DOCKER_HOST: 'tcp://host:1', PVGRUB_ENGINE_RUN: '/run/ours' };

/** The ways of an environment, without those places of the machine that the environment does not move. */
const movable: Strategy[] = STRATEGIES.map(({ name, endpoints }) => ({
  name,
  endpoints: (env) => endpoints(env).filter((endpoint) => !/^unix:\/\/\/(var\/)?run\/(docker|podman)/.test(endpoint)),
}));

test('all ways are tried in this order: DOCKER_HOST, the system, rootless, Podman, our own', () => {
  expect(STRATEGIES.flatMap(({ name, endpoints }) => endpoints(ENV).map((endpoint) => `${name}: ${endpoint}`))).toEqual([
    'DOCKER_HOST: tcp://host:1',
    "the system's Docker: unix:///var/run/docker.sock",
    'rootless Docker: unix:///run/user/7/docker.sock',
    'rootless Docker: unix:///home/me/.docker/run/docker.sock',
    'Podman: unix:///run/user/7/podman/podman.sock',
    'Podman: unix:///run/podman/podman.sock',
    'our private engine: unix:///run/ours/docker.sock',
  ]);
});

test('in an empty environment only the places of the system are left', () => {
  expect(STRATEGIES.flatMap(({ endpoints }) => endpoints({}))).toEqual([
    'unix:///var/run/docker.sock',
    'unix:///run/podman/podman.sock',
    'unix:///run/pvgrub-forge/docker.sock',
  ]);
});

test('the first way that answers is taken, and those that are silent are passed over', async () => {
  const first = await fakeDaemon(greeting());
  const second = await fakeDaemon(greeting());
  const way = (name: string, ...endpoints: string[]): Strategy => ({ name, endpoints: () => endpoints });
  const nowhere = `unix://${join(tempFolder(), 'none')}`;
  const ways = [way('a', nowhere), way('b', nowhere, first.endpoint), way('c', second.endpoint)];
  expect(await findEngine('auto', {}, ways)).toMatchObject({ foundBy: 'b', endpoint: first.endpoint });
  expect(second.calls).toEqual([]);
});

test('a socket that nobody listens on any more is passed over', async () => {
  const dead = await fakeDaemon(greeting());
  dead.die();
  const alive = await fakeDaemon(greeting());
  const ways = [dead, alive].map(({ endpoint }, i): Strategy => ({ name: `way ${i}`, endpoints: () => [endpoint] }));
  expect(await findEngine('auto', {}, ways)).toMatchObject({ foundBy: 'way 1' });
});

test('a DOCKER_HOST that does not answer is an error and not passed over', async () => {
  const other = await fakeDaemon(greeting());
  const ways = [...movable, { name: 'another that answers', endpoints: () => [other.endpoint] }];
  const endpoint = `unix://${join(tempFolder(), 'none.sock')}`;
  expect(await thrownBy(() => findEngine('auto', { DOCKER_HOST: endpoint }, ways))).toMatchObject({
    code: 'ENGINE_NOT_FOUND',
    exit: 4,
    message: `the engine named by DOCKER_HOST does not answer: ${endpoint}`,
    got: 'no such socket',
  });
  expect(other.calls).toEqual([]);
});

test('an endpoint that is named is taken and no other, DOCKER_HOST neither', async () => {
  const named = await fakeDaemon(greeting());
  const other = await fakeDaemon(greeting());
  expect(await findEngine(named.endpoint, { DOCKER_HOST: other.endpoint })).toMatchObject({
    foundBy: '--engine',
    endpoint: named.endpoint,
  });
  named.die();
  expect(await thrownBy(() => findEngine(named.endpoint, { DOCKER_HOST: other.endpoint }))).toMatchObject({
    code: 'ENGINE_NOT_FOUND',
    message: expect.stringContaining('named by --engine'),
  });
  expect(other.calls).toEqual([]);
});

test.each(['nonsense', 'localhost:2375', '/run/docker.sock'])('an address such as %s is an error that tells so', async (address) => {
  expect(await thrownBy(() => findEngine(address, {}))).toMatchObject({ code: 'ENGINE_NOT_FOUND' });
});

test('with "private" only our own engine is looked for', async () => {
  const other = await fakeDaemon(greeting());
  const folder = tempFolder();
  const error = (await thrownBy(() => findEngine('private', { DOCKER_HOST: other.endpoint, PVGRUB_ENGINE_RUN: folder }))) as EngineError;
  expect(error.code).toBe('ENGINE_NOT_FOUND');
  expect(error.message).toContain(`our private engine (unix://${folder}/docker.sock): no such socket`);
  expect(other.calls).toEqual([]);
});

test('where nothing is, the error lists every place that was tried, and what to do', async () => {
  const folder = tempFolder();
  const env = { HOME: folder, XDG_RUNTIME_DIR: folder, PVGRUB_ENGINE_RUN: folder };
  const error = (await thrownBy(() => findEngine('auto', env, movable))) as EngineError;
  expect(error).toMatchObject({ code: 'ENGINE_NOT_FOUND', exit: 4 });
  expect(error.message.split('\n').slice(1)).toEqual([
    `  rootless Docker (unix://${folder}/docker.sock): no such socket`,
    `  rootless Docker (unix://${folder}/.docker/run/docker.sock): no such socket`,
    `  Podman (unix://${folder}/podman/podman.sock): no such socket`,
    `  our private engine (unix://${folder}/docker.sock): no such socket`,
  ]);
  expect(error.hint).toContain('--engine');
});

test('an engine of another platform is refused, not passed over in silence', async () => {
  const arm = await fakeDaemon(greeting('linux', 'arm64'));
  const error = await thrownBy(() => findEngine('auto', { DOCKER_HOST: arm.endpoint }, movable));
  expect(error).toMatchObject({ code: 'ENGINE_REFUSED', expected: 'linux/amd64' });
});
