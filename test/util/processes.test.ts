import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { ourProcesses } from '../../src/util/processes.ts';
import { tempFolder } from '../support/temp-folder.ts';

let child: ChildProcess | undefined;
afterEach(() => child?.kill('SIGKILL'));

/** A process that looks like a command of ours. */
async function other(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  child = spawn('bash', ['-c', 'echo; read -r', '/x/src/cli/main.ts', ...args], { env: { ...process.env, ...env }, stdio: 'pipe' });
  await new Promise((resolve) => child?.stdout?.once('data', resolve));
}

// The setup file gives each test file a cache folder of its own, so no other process here is one of ours.
test.skipIf(!existsSync('/proc/self/environ')).each([
  ['that keeps its things where we do', ['sources', 'fetch'], {}, 1],
  ['that keeps them elsewhere', ['build'], { PVGRUB_STORE: '/elsewhere' }, 0],
  ['that is told our store', ['build', '--store', '/our/store'], { PVGRUB_STORE: '/elsewhere' }, 1],
  ['that only completes a command', ['complete', 'build'], {}, 0],
])('a process %s', async (_what, args, env, expected) => {
  process.env['XDG_CACHE_HOME'] = tempFolder();
  await other(args, env);
  expect(await ourProcesses(['/our/store', '/our/cache'])).toBe(expected);
});
