import { expect, test } from 'vitest';
import { runContainer } from '../../src/engine/container.ts';
import { InterruptedError } from '../../src/errors.ts';
import { daemonWith, empty, endless, FakeContainer, frame, refuse, until } from '../support/fake-daemon.ts';
import { thrownBy } from '../support/temp-folder.ts';

/** How a run ends that does not end well: aborts, time limits, engines that go away. */

const MINUTE = 60_000;
const ignore = () => {};
const kills = (lines: readonly string[]) => lines.filter((line) => line === 'POST /containers/c/kill').length;

test('an abort kills the container, and the signal’s reason is thrown', async () => {
  const { daemon, handle } = await daemonWith(new FakeContainer({ output: ['hello\n'], endsByItself: false }));
  const controller = new AbortController();
  const reason = new InterruptedError();
  const error = await thrownBy(() =>
    runContainer(handle, { onOutput: () => controller.abort(reason), timeoutMs: MINUTE, signal: controller.signal }),
  );
  expect(error).toBe(reason);
  expect(kills(daemon.lines())).toBe(1);
});

test('after an abort the signal’s reason is thrown, also where the engine goes away at the same time', async () => {
  const { daemon, handle } = await daemonWith(new FakeContainer({ output: ['hello\n'], endsByItself: false }));
  const controller = new AbortController();
  const reason = new InterruptedError();
  const onOutput = () => {
    daemon.die();
    controller.abort(reason);
  };
  expect(await thrownBy(() => runContainer(handle, { onOutput, timeoutMs: MINUTE, signal: controller.signal }))).toBe(reason);
});

test('nothing is asked of the engine where the signal is aborted already', async () => {
  const { daemon, handle } = await daemonWith(new FakeContainer());
  const reason = new InterruptedError();
  expect(await thrownBy(() => runContainer(handle, { onOutput: ignore, timeoutMs: MINUTE, signal: AbortSignal.abort(reason) }))).toBe(
    reason,
  );
  expect(daemon.lines()).toEqual([]);
});

/** A container whose start lasts until a kill has come too early. */
function slowToStart(): FakeContainer {
  const container = new FakeContainer({ endsByItself: false });
  const script = container.script.bind(container);
  container.script = () => {
    let early = 0;
    const answers = script();
    return {
      ...answers,
      'POST /containers/c/kill': (response, call) => {
        if (!container.state.Running) early++;
        return answers['POST /containers/c/kill']?.(response, call);
      },
      'POST /containers/c/start': async (response) => {
        await until('a kill before the start', () => early > 0);
        container.begin();
        response.writeHead(204).end();
      },
    };
  };
  return container;
}

test('an abort between create and start, whose kill comes too early, kills after the start', async () => {
  const { daemon, handle } = await daemonWith(slowToStart());
  const controller = new AbortController();
  const running = thrownBy(() => runContainer(handle, { onOutput: ignore, timeoutMs: MINUTE, signal: controller.signal }));
  await until('the start', () => daemon.lines().includes('POST /containers/c/start'));
  controller.abort(new InterruptedError());
  expect(await running).toBeInstanceOf(InterruptedError);
  expect(kills(daemon.lines())).toBe(2);
});

test('a time limit that passes before the start is kept, too', async () => {
  const { handle } = await daemonWith(slowToStart());
  expect(await runContainer(handle, { onOutput: ignore, timeoutMs: 1 })).toMatchObject({ timedOut: true });
});

test('the time limit kills, and is told beside the exit code', async () => {
  const { daemon, handle } = await daemonWith(new FakeContainer({ output: ['hello\n'], endsByItself: false }));
  const ended = await runContainer(handle, { onOutput: ignore, timeoutMs: 150 });
  expect(ended).toEqual({ exitCode: 137, outOfMemory: false, timedOut: true });
  expect(kills(daemon.lines())).toBe(1);
});

test('a run that ends in time leaves no timer behind that kills', async () => {
  const { daemon, handle } = await daemonWith(new FakeContainer());
  expect((await runContainer(handle, { onOutput: ignore, timeoutMs: 400 })).timedOut).toBe(false);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(kills(daemon.lines())).toBe(0);
});

test('an engine that drops the connection in the middle of a chunked answer is lost', async () => {
  const { handle } = await daemonWith(new FakeContainer(), {
    'POST /containers/c/attach': (response) => {
      response.writeHead(200).flushHeaders();
      response.write(frame('hello\n'));
      setTimeout(() => response.destroy(), 150);
    },
    'POST /containers/c/start': empty(),
  });
  expect(await thrownBy(() => runContainer(handle, { onOutput: ignore, timeoutMs: MINUTE }))).toMatchObject({ code: 'ENGINE_LOST' });
});

test('an engine that goes away in the middle of a frame is lost', async () => {
  const container = new FakeContainer({ output: [frame('hello\n').subarray(0, 10)] });
  const { handle } = await daemonWith(container);
  expect(await thrownBy(() => runContainer(handle, { onOutput: ignore, timeoutMs: MINUTE }))).toMatchObject({ code: 'ENGINE_LOST' });
});

test('an engine that dies so that the output seems to have ended well is lost, and does not hang the run', async () => {
  const { daemon, handle } = await daemonWith(new FakeContainer({ output: ['hello\n'], endsByItself: false }));
  const error = await thrownBy(() => runContainer(handle, { onOutput: () => daemon.die(), timeoutMs: MINUTE }));
  expect(error).toMatchObject({ code: 'ENGINE_LOST', exit: 4 });
});

test('an engine that is not there from the start is lost', async () => {
  const { daemon, handle } = await daemonWith(new FakeContainer());
  daemon.die();
  expect(await thrownBy(() => runContainer(handle, { onOutput: ignore, timeoutMs: MINUTE }))).toMatchObject({ code: 'ENGINE_LOST' });
});

test('an attached stream that breaks before the start does not hang the run', async () => {
  const { handle } = await daemonWith(new FakeContainer({ endsByItself: false }), {
    'POST /containers/c/attach': (response) => {
      response.writeHead(200).flushHeaders();
      setTimeout(() => response.destroy(), 50);
    },
    'POST /containers/c/start': (response) => void setTimeout(() => response.writeHead(204).end(), 300),
  });
  expect(await thrownBy(() => runContainer(handle, { onOutput: ignore, timeoutMs: MINUTE }))).toMatchObject({ code: 'ENGINE_LOST' });
});

/** Answers an attach, and tells when its connection is closed by us. */
function watchedAttach(container: FakeContainer): { closed: () => boolean; container: FakeContainer } {
  let closed = false;
  const script = container.script.bind(container);
  container.script = () => {
    const answers = script();
    return {
      ...answers,
      'POST /containers/c/attach': (response, call) => {
        response.on('close', () => {
          closed = true;
        });
        return answers['POST /containers/c/attach']?.(response, call);
      },
    };
  };
  return { closed: () => closed, container };
}

test('a start that is refused is told with its reason, and the attached connection is closed', async () => {
  const { closed, container } = watchedAttach(new FakeContainer({ endsByItself: false }));
  const { handle } = await daemonWith(container, { 'POST /containers/c/start': refuse(400, 'no such file: sh') });
  expect(await thrownBy(() => runContainer(handle, { onOutput: ignore, timeoutMs: MINUTE }))).toMatchObject({
    code: 'ENGINE_REFUSED',
    message: expect.stringContaining('no such file: sh'),
  });
  await until('the end of the connection', closed);
});

test('a reader that fails, as on a full disk, ends the run with its error and closes the connection', async () => {
  const { closed, container } = watchedAttach(new FakeContainer({ output: ['hello\n'], endsByItself: false }));
  const { handle } = await daemonWith(container);
  const full = Object.assign(new Error('no room'), { code: 'ENOSPC' });
  const onOutput = () => Promise.reject(full);
  expect(await thrownBy(() => runContainer(handle, { onOutput, timeoutMs: MINUTE }))).toBe(full);
  await until('the end of the connection', closed);
});

test('a container that is removed by someone else while it runs is an error', async () => {
  const { handle } = await daemonWith(new FakeContainer(), {
    'POST /containers/c/attach': (response) => void endless(response).end(),
    'POST /containers/c/start': empty(),
    'GET /containers/c/json': refuse(404, 'No such container: c'),
  });
  expect(await thrownBy(() => runContainer(handle, { onOutput: ignore, timeoutMs: MINUTE }))).toMatchObject({ code: 'ENGINE_REFUSED' });
});
