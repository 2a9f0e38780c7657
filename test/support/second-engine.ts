import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Engine, greet } from '../../src/engine/engine.ts';

/** A Docker daemon beside the one of the tests, with its own data; it can be killed, and started again with what it had. */
export interface SecondEngine {
  endpoint: string;
  start: () => Promise<Engine>;
  kill: (signal?: NodeJS.Signals) => Promise<void>;
  remove: () => Promise<void>;
}

export function secondEngine(): SecondEngine {
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-second-'));
  const endpoint = `unix://${join(folder, 'sock')}`;
  let daemon: ChildProcess | undefined;
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const gone = once(daemon, 'exit');
    daemon.kill(signal);
    await gone;
  };
  return {
    endpoint,
    kill,
    start: async () => {
      rmSync(join(folder, 'pid'), { force: true });
      const places = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'), '--pidfile', join(folder, 'pid')];
      daemon = spawn('dockerd', ['-H', endpoint, ...places, '--bridge=none', '--iptables=false', '--ip6tables=false'], { stdio: 'ignore' });
      for (let attempt = 0; ; attempt++) {
        try {
          return await greet(endpoint, 'a second daemon', 2000);
        } catch (error) {
          if (attempt > 150 || daemon.exitCode !== null) throw error;
          await sleep(200);
        }
      }
    },
    remove: async () => {
      await kill('SIGTERM');
      // A daemon that was killed before leaves mounts.
      const mounts = readFileSync('/proc/mounts', 'utf8')
        .split('\n')
        .flatMap((line) => line.split(' ')[1] ?? []);
      for (const path of mounts.filter((path) => path.startsWith(`${folder}/`)).reverse()) spawnSync('umount', ['-l', path]);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
