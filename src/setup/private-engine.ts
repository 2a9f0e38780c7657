import { spawn } from 'node:child_process';
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Engine, greet } from '../engine/engine.ts';
import { processStart } from '../engine/labels.ts';
import { EngineError } from '../errors.ts';
import { ifThere } from '../util/files.ts';
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
 * @returns the engine, and a function that must be called when the work is done
 * @throws EngineError ENGINE_NOT_FOUND with the end of the daemon's log where it does not come up
 */
export async function startPrivateEngine(say: (text: string) => void): Promise<{ engine: Engine; release: () => Promise<void> }> {
  const daemon = await which('dockerd');
  if (!daemon) throw new EngineError('ENGINE_NOT_FOUND', 'dockerd is not installed', { hint: 'apt-get install docker.io' });
  await mkdir(users(), { recursive: true });
  await mkdir(privateData(), { recursive: true });
  const mine = join(users(), `${process.pid}.${processStart(process.pid) ?? 0}`);
  await writeFile(mine, '');
  const release = async () => {
    await rm(mine, { force: true });
    if ((await others(mine)) === 0) await stop();
  };
  try {
    const running = await greet(`unix://${privateSocket()}`, 'our private engine', 2000).catch(() => undefined);
    if (running) return { engine: running, release };
    say(`starting a private Docker engine (data in ${privateData()}, no bridge, no packet filter rules)`);
    await rm(privateSocket(), { force: true });
    await forgetDead();
    const logFile = join(privateData(), 'dockerd.log');
    const log = await open(logFile, 'w');
    // In a group of its own: Ctrl-C is for us, and the engine is needed for cleaning up.
    const child = spawn(daemon, daemonArguments(), {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
    });
    let ended: string | undefined;
    child.on('error', (error) => {
      ended = error.message;
    });
    child.on('exit', (code, signal) => {
      ended = `it ended with ${code ?? signal}`;
    });
    child.unref();
    await log.close();
    for (const deadline = Date.now() + 60_000; Date.now() < deadline && ended === undefined; await sleep(100)) {
      const engine = await greet(`unix://${privateSocket()}`, 'our private engine', 2000).catch(() => undefined);
      if (engine) return { engine, release };
    }
    const said = ((await ifThere(readFile(logFile, 'utf8'))) ?? '').trim().split('\n').slice(-5).join('\n');
    if (ended === undefined && child.pid) process.kill(child.pid, 'SIGTERM');
    throw new EngineError('ENGINE_NOT_FOUND', `the private Docker engine did not come up: ${ended ?? 'no answer within 60 s'}`, {
      got: said,
      hint: `its log is ${logFile}; engines need root, cgroups and overlayfs`,
    });
  } catch (error) {
    await rm(mine, { force: true });
    throw error;
  }
}

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

async function daemonPid(): Promise<number | undefined> {
  const pid = Number(await ifThere(readFile(pidFile(), 'utf8')));
  return Number.isInteger(pid) && pid > 1 && processStart(pid) !== undefined ? pid : undefined;
}

/** A process id file that a killed daemon left keeps the next from starting if the number is in use again. */
async function forgetDead(): Promise<void> {
  const pid = await daemonPid();
  const name = pid === undefined ? undefined : await ifThere(readFile(`/proc/${pid}/comm`, 'utf8'));
  if (name?.trim() !== 'dockerd') await rm(pidFile(), { force: true });
}

/** Stop the daemon and wait until it is gone. */
async function stop(): Promise<void> {
  const pid = await daemonPid();
  if (pid === undefined) return;
  process.kill(pid, 'SIGTERM');
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(100)) {
    if (processStart(pid) === undefined || (await isZombie(pid))) return;
  }
  process.kill(pid, 'SIGKILL');
}

async function isZombie(pid: number): Promise<boolean> {
  const stat = (await ifThere(readFile(`/proc/${pid}/stat`, 'utf8'))) ?? '';
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
}
