import { expect, test } from 'vitest';
import { connect, engineError, engineName, greet, statusOf } from '../../src/engine/engine.ts';
import { BuildError, EngineError } from '../../src/errors.ts';
import { fakeDaemon, greeting, json, refuse } from '../support/fake-daemon.ts';
import { setEnv } from '../support/fake-programs.ts';
import { thrownBy } from '../support/temp-folder.ts';

test('an engine tells its name, version, cores and memory', async () => {
  const daemon = await fakeDaemon(greeting());
  expect(await greet(daemon.endpoint, 'a test')).toMatchObject({
    endpoint: daemon.endpoint,
    foundBy: 'a test',
    name: 'docker',
    version: '29.0.0',
    apiVersion: '1.52',
    cores: 3,
    memory: 1000,
  });
});

test('Podman is known by the name of its component', async () => {
  const daemon = await fakeDaemon(greeting('linux', 'amd64', 'Podman Engine'));
  expect((await greet(daemon.endpoint, 'a test')).name).toBe('podman');
});

test('no request carries an API version, so that old and new engines both take it', async () => {
  const daemon = await fakeDaemon({ '*': refuse(404), ...greeting() });
  const { docker } = await greet(daemon.endpoint, 'a test');
  await docker
    .getImage('x')
    .inspect()
    .catch(() => {});
  await docker
    .getContainer('c')
    .start()
    .catch(() => {});
  await docker.listVolumes().catch(() => {});
  expect(daemon.calls).toHaveLength(5);
  for (const call of daemon.calls) expect(call.target).not.toMatch(/^\/v\d/);
});

test.each([
  ['linux', 'arm64'],
  ['windows', 'amd64'],
])('an engine for %s/%s is refused', async (os, arch) => {
  const daemon = await fakeDaemon(greeting(os, arch));
  expect(await thrownBy(() => greet(daemon.endpoint, 'a test'))).toMatchObject({
    code: 'ENGINE_REFUSED',
    message: `the engine at ${daemon.endpoint} is ${os}/${arch}`,
    expected: 'linux/amd64',
  });
});

test('an engine that accepts but never answers is given up after the time', async () => {
  const daemon = await fakeDaemon({ '*': () => {} });
  expect(String(await thrownBy(() => greet(daemon.endpoint, 'a test', 100)))).toContain('no answer within 0.1 s');
});

test('an endpoint that is given wins over DOCKER_HOST and its kin', async () => {
  const daemon = await fakeDaemon(greeting());
  setEnv({ DOCKER_HOST: 'tcp://127.0.0.1:1', DOCKER_CLIENT_TIMEOUT: '1', DOCKER_TLS_VERIFY: '1' });
  expect((await greet(daemon.endpoint, 'a test')).version).toBe('29.0.0');
});

test('no time limit on idle sockets is taken from the environment: it would cut quiet builds', async () => {
  const daemon = await fakeDaemon({ 'GET /version': (response, call) => void setTimeout(() => json(200, {})(response, call), 300) });
  setEnv({ DOCKER_HOST: 'tcp://127.0.0.1:1', DOCKER_CLIENT_TIMEOUT: '50' });
  await connect(daemon.endpoint).version();
});

test('a socket’s path may be percent-encoded', async () => {
  const daemon = await fakeDaemon(greeting());
  expect((await connect(daemon.endpoint.replace('d.sock', '%64.sock')).version()).Version).toBe('29.0.0');
});

test('an address of no known kind is refused, and not taken for the system’s engine', async () => {
  for (const address of ['localhost:2375', 'npipe:////./pipe/docker', 'nonsense']) {
    expect(await thrownBy(() => connect(address))).toBeInstanceOf(Error);
  }
});

const answered = (status: number, message: string) =>
  Object.assign(new Error(`(HTTP code ${status})`), { statusCode: status, json: { message } });

test.each(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'EACCES', 'ERR_STREAM_PREMATURE_CLOSE'])('%s is a lost engine', (code) => {
  const cause = Object.assign(new Error('x'), { code });
  expect(engineError(cause, 'working')).toMatchObject({
    code: 'ENGINE_LOST',
    exit: 4,
    message: 'the engine went away while working',
    got: code,
    cause,
  });
});

test.each(['aborted', 'socket hang up'])('a stream that ends with only "%s" is a lost engine', (text) => {
  expect(engineError(new Error(text), 'working')).toMatchObject({ code: 'ENGINE_LOST' });
});

test('a status is a refusal, with the engine’s reason, whatever the text says', () => {
  expect(engineError(answered(500, 'No such container: socket hang up'), 'working')).toMatchObject({
    code: 'ENGINE_REFUSED',
    message: 'the engine refused while working: No such container: socket hang up (HTTP 500)',
  });
});

test('the status decides, not the text', async () => {
  const daemon = await fakeDaemon({
    'GET /images/x/json': refuse(404, 'HTTP 500 server error'),
    'GET /images/y/json': refuse(500, 'no such image'),
  });
  const { docker } = daemon.engine;
  expect(statusOf(await thrownBy(() => docker.getImage('x').inspect()))).toBe(404);
  expect(statusOf(await thrownBy(() => docker.getImage('y').inspect()))).toBe(500);
  expect(statusOf(new Error('HTTP code 404'))).toBeUndefined();
});

test('errors of our own, and those that are not the engine’s, pass unchanged', () => {
  for (const error of [
    new BuildError('BUILD_FAILED', 'x'),
    new EngineError('ENGINE_LOST', 'x'),
    new TypeError('a bug'),
    Object.assign(new Error('full'), { code: 'ENOSPC' }),
  ]) {
    expect(engineError(error, 'working')).toBe(error);
  }
});

test('an engine is named without what its address has of secrets', () => {
  const named = (endpoint: string) => engineName({ name: 'docker', version: '29.1', endpoint });
  expect(named('https://user:word@far:2376')).toBe('docker 29.1 at https://far:2376');
  expect(named('ssh://root@far')).toBe('docker 29.1 at ssh://far');
  expect(named('unix:///run/a@b/sock')).toBe('docker 29.1 at unix:///run/a@b/sock');
});
