import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type ContainerSpec, createContainer, type Ended, removeContainer, runContainer } from '../../src/engine/container.ts';
import type { OutputChunk } from '../../src/engine/demux.ts';
import { daemonWith, empty, endless, FakeContainer, fakeDaemon, frame, json, refuse } from '../support/fake-daemon.ts';
import { thrownBy } from '../support/temp-folder.ts';

const MINUTE = 60_000;

/** Run to the end and gather the output. */
async function gather(handle: Parameters<typeof runContainer>[0]): Promise<{ ended: Ended; text: string }> {
  let text = '';
  const onOutput = ({ data }: OutputChunk) => {
    text += data.toString();
  };
  const ended = await runContainer(handle, { onOutput, timeoutMs: MINUTE });
  return { ended, text };
}

const spec: ContainerSpec = {
  image: 'sha256:1',
  command: ['sh', '-c', 'true'],
  env: { A: '1', B: 'two words' },
  labels: { 'pvgrub-forge': 'work' },
  volume: 'v',
  limits: { memory: 1000, pids: 10 },
};

test('the order that loses nothing: attach and wait before the start, inspect after the output', async () => {
  const { daemon, handle } = await daemonWith(new FakeContainer({ output: ['hello\n'] }));
  await gather(handle);
  const lines = daemon.lines().map((line) => line.replace('/containers/c/', ''));
  expect(lines[0]).toBe('POST attach');
  // Sent in this order, but on connections of their own.
  expect(lines.slice(1, 3).sort()).toEqual(['POST start', 'POST wait']);
  expect(lines.slice(3)).toEqual(['GET json']);
  expect(daemon.calls[0]?.query.toString()).toBe('stream=true&stdout=true&stderr=true');
  expect(daemon.calls.find((call) => call.line.endsWith('wait'))?.query.get('condition')).toBe('next-exit');
});

test('output of both streams comes in order, and the exit code is told', async () => {
  const { handle } = await daemonWith(new FakeContainer({ output: ['one\n', frame('two\n', 2), 'three\n'], exitCode: 3 }));
  const pieces: OutputChunk[] = [];
  const ended = await runContainer(handle, { onOutput: (piece) => void pieces.push(piece), timeoutMs: MINUTE });
  expect(pieces.map(({ stream, data }) => `${stream} ${data}`)).toEqual(['stdout one\n', 'stderr two\n', 'stdout three\n']);
  expect(ended).toEqual({ exitCode: 3, outOfMemory: false, timedOut: false });
});

test('output that arrives after the exit is not lost', async () => {
  const container = new FakeContainer({ output: ['early\n'], endsByItself: false });
  const { handle } = await daemonWith(container, {
    'POST /containers/c/start': async (response) => {
      container.begin();
      response.writeHead(204).end();
      container.endOutput = () => {};
      container.exit(0);
      await sleep(200);
      container.output.splice(0, 1, 'late\n');
      container.begin();
      container.state.Running = false;
      FakeContainer.prototype.endOutput.call(container);
    },
  });
  expect((await gather(handle)).text).toBe('early\nlate\n');
});

test('running out of memory is told', async () => {
  const { handle } = await daemonWith(new FakeContainer({ exitCode: 137, oom: true }));
  expect((await gather(handle)).ended).toEqual({ exitCode: 137, outOfMemory: true, timedOut: false });
});

test('a slow reader gets everything, though the engine has closed the connection long before', async () => {
  const { handle } = await daemonWith(new FakeContainer({ output: Array.from({ length: 200 }, () => 'x'.repeat(4096)) }));
  let length = 0;
  await runContainer(handle, {
    onOutput: async ({ data }) => {
      await sleep(1);
      length += data.length;
    },
    timeoutMs: MINUTE,
  });
  expect(length).toBe(200 * 4096);
});

test('where attaching before the start is refused, as by some Podmans, the logs are read from the start on', async () => {
  const container = new FakeContainer({ exitCode: 4 });
  const { daemon, handle } = await daemonWith(container, {
    'POST /containers/c/attach': refuse(500, 'container is not running'),
    'GET /containers/c/logs': (response) => void endless(response).end(frame('from the logs\n')),
  });
  expect(await gather(handle)).toEqual({ ended: { exitCode: 4, outOfMemory: false, timedOut: false }, text: 'from the logs\n' });
  const lines = daemon.lines();
  expect(lines.indexOf('GET /containers/c/logs')).toBeGreaterThan(lines.indexOf('POST /containers/c/start'));
  expect(daemon.calls.find((call) => call.line.endsWith('logs'))?.query.get('follow')).toBe('true');
});

test('a container whose output has ended but that runs on is waited for', async () => {
  const container = new FakeContainer({ output: ['done\n'], endsByItself: false });
  const { handle } = await daemonWith(container, {
    'POST /containers/c/start': async (response) => {
      container.begin();
      response.writeHead(204).end();
      container.endOutput();
      await sleep(1300);
      container.exit(5);
    },
  });
  expect((await gather(handle)).ended.exitCode).toBe(5);
});

test.each([404, 409])('removing a container that is gone or going (%i) is a success', async (status) => {
  const { daemon, handle } = await daemonWith(new FakeContainer(), { 'DELETE /containers/c': refuse(status) });
  await removeContainer(handle);
  expect(daemon.calls[0]?.query.toString()).toBe('force=true&v=true');
});

test('any other refusal to remove is an error', async () => {
  const { handle } = await daemonWith(new FakeContainer(), { 'DELETE /containers/c': refuse(500, 'device busy') });
  const error = await thrownBy(() => removeContainer(handle));
  expect(error).toMatchObject({ code: 'ENGINE_REFUSED', message: 'the engine refused while removing a container: device busy (HTTP 500)' });
});

test('the same specification gives the same request every time, and is not changed by it', async () => {
  const bodies: Buffer[] = [];
  const daemon = await fakeDaemon({
    'POST /containers/create': async (response, call) => {
      bodies.push(await call.body());
      json(201, { Id: 'c' })(response, call);
    },
  });
  const before = structuredClone(spec);
  await createContainer(daemon.engine, spec);
  await createContainer(daemon.engine, spec);
  expect(bodies).toHaveLength(2);
  expect(bodies[1]).toEqual(bodies[0]);
  expect(daemon.calls[1]?.target).toBe(daemon.calls[0]?.target);
  expect(spec).toEqual(before);
});

test('a container gets no network, no capabilities, no second chance for memory, and only its volume to write to', async () => {
  let body = '';
  const daemon = await fakeDaemon({
    'POST /containers/create': async (response, call) => {
      body = (await call.body()).toString();
      json(201, { Id: 'c' })(response, call);
    },
  });
  await createContainer(daemon.engine, spec);
  expect(JSON.parse(body)).toMatchObject({
    Image: 'sha256:1',
    Env: ['A=1', 'B=two words'],
    Hostname: 'forge',
    User: 'build',
    NetworkDisabled: true,
    HostConfig: {
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Memory: 1000,
      MemorySwap: 1000,
      PidsLimit: 10,
      Mounts: [{ Type: 'volume', Source: 'v', Target: '/cell' }],
    },
  });
  // AutoRemove would take the exit code away.
  expect(JSON.parse(body).HostConfig.AutoRemove).toBeUndefined();
});

test('a refusal to create is an error with the engine’s own reason', async () => {
  const daemon = await fakeDaemon({ 'POST /containers/create': refuse(404, 'No such image: sha256:1'), 'DELETE *': empty() });
  expect(await thrownBy(() => createContainer(daemon.engine, spec))).toMatchObject({
    code: 'ENGINE_REFUSED',
    message: 'the engine refused while creating a container: No such image: sha256:1 (HTTP 404)',
  });
});
