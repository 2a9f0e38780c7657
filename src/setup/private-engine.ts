import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Engine, greet } from '../engine/engine.ts';
import { EngineError } from '../errors.ts';
import { ifThere } from '../util/files.ts';
import { sha256 } from '../util/hash.ts';
import { processStart } from '../util/process-start.ts';
import { which } from './host-tools.ts';
import { privateData, privateRun, privateSocket } from './private-paths.ts';

/**
 * Our own Docker daemon: its own socket and data folder, no bridge and no packet filter rules, so that a Xen host's
 * network stays as it is. Several runs share it; the last one stops it.
 */

const pidFile = () => join(privateRun(), 'docker.pid');
const users = () => join(privateRun(), 'users');

/** Arguments of the daemon; exported for the documentation's test. */
export function daemonArguments(): string[] {
  return [
    '--host',
    `unix://${privateSocket()}`,
    '--data-root',
    privateData(),
    '--exec-root',
    join(privateRun(), 'exec'),
    '--pidfile',
    pidFile(),
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--ip-forward=false',
    '--ip-masq=false',
    '--group',
    '0',
  ];
}

/**
 * Start the private engine, or join the one that another run has started.
 * @param mayStart false to join only
 * @returns the engine, and a function that must be called when the work is done
 * @throws EngineError ENGINE_NOT_FOUND with the end of the daemon's log where it does not come up
 */
export async function startPrivateEngine(
  say: (text: string) => void,
  mayStart = true,
): Promise<{ engine: Engine; release: () => Promise<void> }> {
  const daemon = await which('dockerd');
  if (!daemon) throw new EngineError('ENGINE_NOT_FOUND', 'dockerd is not installed', { hint: 'apt-get install docker.io' });
  await mkdir(users(), { recursive: true });
  await mkdir(privateData(), { recursive: true });
  const mine = join(users(), `${process.pid}.${processStart(process.pid) ?? 0}.${randomBytes(4).toString('hex')}`);
  const release = () =>
    exclusively(async () => {
      await rm(mine, { force: true });
      if ((await others(mine)) === 0) await stop();
    });
  return exclusively(async () => {
    await writeFile(mine, '');
    try {
      const running = await answering();
      if (!running && !mayStart)
        throw new EngineError('ENGINE_NOT_FOUND', 'the private engine has just been stopped', { hint: 'run again without --no-setup' });
      return { engine: running ?? (await start(daemon, say)), release };
    } catch (error) {
      await rm(mine, { force: true });
      throw error;
    }
  });
}

/**
 * One run at a time starts or stops the engine: else one would join what another is stopping, or take away the socket
 * of what another is starting. The lock is a socket without a file, that the kernel frees when its process ends.
 */
async function exclusively<T>(work: () => Promise<T>): Promise<T> {
  const lock = createServer();
  const name = `\0pvgrub-forge-${sha256(privateRun()).slice(0, 32)}`;
  for (const deadline = Date.now() + 180_000; ; await sleep(100)) {
    try {
      await once(lock.listen(name), 'listening');
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      if (Date.now() > deadline)
        throw new EngineError('ENGINE_NOT_FOUND', 'another run has been starting or stopping the private engine for 3 minutes');
    }
  }
  try {
    return await work();
  } finally {
    lock.close();
  }
}

const answering = (): Promise<Engine | undefined> => greet(`unix://${privateSocket()}`, 'our private engine', 2000).catch(() => undefined);

/** Start the daemon, if it does not run already and is only slow to answer, and wait until it answers. */
async function start(daemon: string, say: (text: string) => void): Promise<Engine> {
  const logFile = join(privateData(), 'dockerd.log');
  let child: ChildProcess | undefined;
  let ended: string | undefined;
  if ((await daemonPid()) === undefined) {
    say(`starting a private Docker engine (data in ${privateData()}, no bridge, no packet filter rules)`);
    await rm(privateSocket(), { force: true });
    // The file that a killed daemon left keeps the next from starting if its number is in use again.
    await rm(pidFile(), { force: true });
    const log = await open(logFile, 'w');
    // In a group of its own: Ctrl-C is for us, and the engine is needed for cleaning up.
    child = spawn(daemon, daemonArguments(), {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
    });
    child.on('error', (error) => {
      ended = error.message;
    });
    child.on('exit', (code, signal) => {
      ended = `it ended with ${code ?? signal}`;
    });
    child.unref();
    await log.close();
  }
  for (const deadline = Date.now() + 60_000; Date.now() < deadline && ended === undefined; await sleep(100)) {
    const engine = await answering();
    if (engine) return engine;
  }
  const said = ((await ifThere(readFile(logFile, 'utf8'))) ?? '').trim().split('\n').slice(-5).join('\n');
  if (ended === undefined) child?.kill('SIGTERM');
  throw new EngineError('ENGINE_NOT_FOUND', `the private Docker engine did not come up: ${ended ?? 'no answer within 60 s'}`, {
    got: said,
    hint: `its log is ${logFile}; engines need root, cgroups and overlayfs`,
  });
}

/** How many runs use the private engine now. */
export const privateUsers = (): Promise<number> => others('');

/** Runs other than ours that use the engine; marks of runs that are gone are removed. */
async function others(mine: string): Promise<number> {
  let count = 0;
  for (const name of (await ifThere(readdir(users()))) ?? []) {
    const path = join(users(), name);
    if (path === mine) continue;
    const [pid, started] = name.split('.');
    if (processStart(Number(pid)) === started) count++;
    else await rm(path, { force: true });
  }
  return count;
}

/** The running daemon's process id: its number in the file may by now be another process's, which is not ours to end. */
async function daemonPid(): Promise<number | undefined> {
  const pid = Number(await ifThere(readFile(pidFile(), 'utf8')));
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  // Empty for a process that has ended and is not reaped; a read may fail in several ways while one ends.
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return command.split('\0').includes(pidFile()) ? pid : undefined;
}

/** Stop the daemon and wait until it is gone. */
async function stop(): Promise<void> {
  const pid = await daemonPid();
  if (pid === undefined) return;
  const kill = (signal: NodeJS.Signals) => {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended by itself just now.
    }
  };
  kill('SIGTERM');
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(100)) {
    if (processStart(pid) === undefined || (await isZombie(pid))) return;
  }
  kill('SIGKILL');
}

async function isZombie(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
}
