import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { daemonArguments, startPrivateEngine } from '../../src/setup/private-engine.ts';
import { processStart } from '../../src/util/process-start.ts';
import { until } from '../support/fake-daemon.ts';
import { fakePrograms, type Programs, setEnv } from '../support/fake-programs.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

/** A program in dockerd's place: it writes its process id, listens, and ends when it is told to. */
const DOCKERD = `
import { rmSync, writeFileSync, existsSync } from 'node:fs';
import { createServer } from 'node:http';
const value = (name) => process.argv[process.argv.indexOf(name) + 1];
const [socket, pidfile] = [value('--host').slice('unix://'.length), value('--pidfile')];
if (existsSync(pidfile)) { console.error('process with PID is still running'); process.exit(1); }
writeFileSync(pidfile, String(process.pid));
const answers = { '/version': { Version: '1', ApiVersion: '1', Os: 'linux', Arch: 'amd64', Pid: process.pid }, '/info': { NCPU: 1, MemTotal: 1 } };
const server = createServer((request, response) => response.end(JSON.stringify(answers[request.url])));
setTimeout(() => server.listen(socket), 200);
process.on('SIGTERM', () => { rmSync(pidfile); rmSync(socket, { force: true }); setTimeout(() => process.exit(0), 200); });
setTimeout(() => process.exit(9), 20000);
`;

let run: string;
let programs: Programs;

beforeEach(() => {
  run = tempFolder();
  setEnv({ PVGRUB_ENGINE_RUN: run });
  const script = join(run, 'dockerd.mjs');
  writeFileSync(script, DOCKERD);
  programs = fakePrograms({ dockerd: `exec '${process.execPath}' '${script}' "$@"` });
});

const start = () => startPrivateEngine(() => {});
const starts = () => programs.calls().length;
const pid = () => Number(readFileSync(join(run, 'docker.pid'), 'utf8'));
/** A process that has ended may be there until its parent, which is this one, has heard of it. */
const ended = (daemon: number) => until('the end of the daemon', () => processStart(daemon) === undefined);
const marks = () => readdirSync(join(run, 'users'));

test('the daemon leaves the host’s network alone, and keeps to its own folders', () => {
  const text = daemonArguments();
  for (const wanted of ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false']) {
    expect(text).toContain(wanted);
  }
  const value = (name: string) => text[text.indexOf(name) + 1];
  expect(value('--host')).toBe(`unix://${run}/docker.sock`);
  expect(value('--pidfile')).toBe(join(run, 'docker.pid'));
  expect(value('--exec-root')).toBe(join(run, 'exec'));
  expect(value('--data-root')).toMatch(/pvgrub-forge\/engine$/);
});

test('it is started, answers, and is gone when it is released', async () => {
  const said: string[] = [];
  const { engine, release } = await startPrivateEngine((text) => said.push(text));
  expect(engine.foundBy).toBe('our private engine');
  expect(said.join()).toContain('starting a private Docker engine');
  const daemon = pid();
  expect(marks()).toHaveLength(1);
  await release();
  await ended(daemon);
  expect(marks()).toEqual([]);
});

test('two runs that start at the same time share one daemon, and the last one stops it', async () => {
  const [one, two] = await Promise.all([start(), start()]);
  expect(starts()).toBe(1);
  const daemon = pid();
  await one.release();
  expect(processStart(daemon)).toBeDefined();
  expect((await two.engine.docker.version()).Version).toBe('1');
  await two.release();
  await ended(daemon);
});

test('a run that comes while the last one stops the daemon gets a new one, not the dying one', async () => {
  const first = await start();
  const daemon = pid();
  const [, second] = await Promise.all([first.release(), start()]);
  expect(pid()).not.toBe(daemon);
  expect((await second.engine.docker.version()).Version).toBe('1');
  await second.release();
});

test('releasing twice is as good as once', async () => {
  const { release } = await start();
  await release();
  await release();
  expect(existsSync(join(run, 'docker.pid'))).toBe(false);
});

test('the mark of a run that was killed does not keep the daemon alive', async () => {
  mkdirSync(join(run, 'users'));
  writeFileSync(join(run, 'users', `${process.pid}.1`), '');
  writeFileSync(join(run, 'users', '999999999.5.ab'), '');
  const { release } = await start();
  const daemon = pid();
  await release();
  await ended(daemon);
  expect(marks()).toEqual([]);
});

test('a process id file that a killed daemon left neither hinders a start nor ends the process that has the number now', async () => {
  // This process has it.
  writeFileSync(join(run, 'docker.pid'), String(process.pid));
  writeFileSync(join(run, 'docker.sock'), '');
  let ended = 0;
  const told = () => ended++;
  process.on('SIGTERM', told);
  const { release } = await start();
  const daemon = pid();
  writeFileSync(join(run, 'docker.pid'), String(process.pid));
  await release();
  process.off('SIGTERM', told);
  expect(ended).toBe(0);
  process.kill(daemon);
});

test('a daemon that does not come up is an error with the end of its log, and leaves no mark', async () => {
  programs = fakePrograms({ dockerd: 'echo "failed to mount overlay" >&2; exit 3' });
  const error = await thrownBy(start);
  expect(error).toMatchObject({ code: 'ENGINE_NOT_FOUND', exit: 4, got: 'failed to mount overlay' });
  expect(String(error)).toContain('it ended with 3');
  expect(marks()).toEqual([]);
});
