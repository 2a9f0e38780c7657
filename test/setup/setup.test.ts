import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type EngineError, UsageError } from '../../src/errors.ts';
import { readyEngine, type SetupOptions } from '../../src/setup/setup.ts';
import { fakeDaemon, greeting } from '../support/fake-daemon.ts';
import { fakePrograms, type Programs, setEnv } from '../support/fake-programs.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const asRoot = process.getuid?.() === 0;

/** A machine whose dockerd and apt-get do nothing but fail, and say that they were called. */
function machine(more: Record<string, string> = {}): {
  programs: Programs;
  run: string;
  said: string[];
  ready: (options: Partial<SetupOptions>) => Promise<unknown>;
} {
  const run = tempFolder();
  setEnv({ PVGRUB_ENGINE_RUN: run, DOCKER_HOST: undefined, CI: 'true' });
  const programs = fakePrograms({ dockerd: 'echo broken >&2; exit 1', 'apt-get': 'echo "E: no mirror" >&2; exit 100', ...more });
  const said: string[] = [];
  const ready = (options: Partial<SetupOptions>) =>
    readyEngine({ wanted: 'private', allowed: true, yes: true, say: (text) => said.push(text), ...options });
  return { programs, run, said, ready };
}

test('where set-up is forbidden nothing is installed, started or written, and the error says that no engine was found', async () => {
  const { programs, run, said, ready } = machine();
  const error = (await thrownBy(() => ready({ allowed: false }))) as EngineError;
  expect(error).toMatchObject({ code: 'ENGINE_NOT_FOUND', exit: 4 });
  expect(error.message).toContain(`unix://${join(run, 'docker.sock')}`);
  expect(programs.calls()).toEqual([]);
  expect(said).toEqual([]);
  expect(readdirSync(run)).toEqual([]);
});

test('an engine that is named and does not answer is an error, and none of our own is set up instead', async () => {
  const { programs, ready } = machine();
  const endpoint = `unix://${join(tempFolder(), 'none.sock')}`;
  expect(await thrownBy(() => ready({ wanted: endpoint }))).toMatchObject({ code: 'ENGINE_NOT_FOUND' });
  setEnv({ DOCKER_HOST: endpoint });
  expect(await thrownBy(() => ready({ wanted: 'auto' }))).toMatchObject({
    code: 'ENGINE_NOT_FOUND',
    message: expect.stringContaining('named by DOCKER_HOST'),
  });
  expect(programs.calls()).toEqual([]);
});

test('an engine that is named and answers is taken, and not stopped afterwards', async () => {
  const tools = Object.fromEntries(['git', 'xz', 'bzip2', 'gpgv', 'mmdebstrap'].map((name) => [name, 'exit 0']));
  const { programs, ready } = machine(tools);
  const daemon = await fakeDaemon(greeting());
  const { engine, release } = (await ready({ wanted: daemon.endpoint })) as Awaited<ReturnType<typeof readyEngine>>;
  expect(engine.endpoint).toBe(daemon.endpoint);
  await release();
  expect(programs.calls()).toEqual([]);
  await engine.docker.version();
});

test('an engine of a wrong platform is refused, and none of our own is set up instead', async () => {
  const { programs, ready } = machine();
  const daemon = await fakeDaemon(greeting('linux', 'arm64'));
  setEnv({ DOCKER_HOST: daemon.endpoint });
  expect(await thrownBy(() => ready({ wanted: 'auto' }))).toMatchObject({ code: 'ENGINE_REFUSED' });
  expect(programs.calls()).toEqual([]);
});

test.runIf(asRoot)('what is to be installed is said before it is done, and a failure shows what apt-get said', async () => {
  const { programs, said, ready } = machine();
  // No tool is found, so all of them are to be installed.
  setEnv({ PATH: programs.folder });
  const error = await thrownBy(() => ready({}));
  if (said[0]?.startsWith('set-up will install')) {
    expect(said[0]).toMatch(/Debian's packages: .*mmdebstrap/);
    expect(said[0]).toContain('pvgrub clean setup takes them off again');
    expect(programs.calls().filter((line) => line.startsWith('apt-get'))).toEqual(['apt-get update -q']);
    // Without an engine of Docker's that is the end; with one that is installed, tools are not worth one.
    if (error instanceof UsageError)
      expect(error).toMatchObject({ code: 'SETUP_FAILED', message: 'apt-get update failed', got: 'E: no mirror' });
    else expect(said).toContain('going on without: apt-get update failed');
  } else {
    // Elsewhere than on Debian nothing is installed.
    expect(programs.calls().filter((line) => line.startsWith('apt-get'))).toEqual([]);
  }
});
