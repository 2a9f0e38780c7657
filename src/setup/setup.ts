import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import type { Engine } from '../engine/engine.ts';
import { findEngine } from '../engine/find/find.ts';
import { EngineError, UsageError } from '../errors.ts';
import { ifThere } from '../util/files.ts';
import { missingTools, which } from './host-tools.ts';
import { startPrivateEngine } from './private-engine.ts';

export interface SetupOptions {
  /** "auto", "private" or an endpoint. */
  wanted: string;
  /** False with --no-setup: nothing is installed or started. */
  allowed: boolean;
  /** Do not ask. */
  yes: boolean;
  say: (text: string) => void;
}

/** An engine to work with, and what to do when the work is done. */
export interface ReadyEngine {
  engine: Engine;
  release: () => Promise<void>;
}

/**
 * An engine that answers; where none does and set-up is allowed, our own, installed from Debian's packages first if
 * need be. What is done is said before it is done; on a terminal it is asked for.
 * @throws EngineError ENGINE_NOT_FOUND, UsageError SETUP_FAILED
 */
export async function readyEngine(options: SetupOptions): Promise<ReadyEngine> {
  const { wanted, allowed, say } = options;
  // Someone who names an engine means that one, also where it does not answer.
  const own = wanted === 'private' || (wanted === 'auto' && !process.env['DOCKER_HOST']);
  const root = process.getuid?.() === 0;
  const debian = await isDebian();
  let missing: EngineError;
  try {
    const engine = await findEngine(wanted);
    // Someone else's run may have started our private engine: count as a user of it, so that it stays.
    if (engine.foundBy === 'our private engine' && root) return await startPrivateEngine(say, allowed);
    if (allowed && root && debian) await installTools(options);
    return { engine, release: async () => {} };
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'ENGINE_NOT_FOUND' || !own || !allowed || !root) throw error;
    missing = error;
  }
  if (!(await which('dockerd')) && !debian) throw missing;
  await installTools(options, (await which('dockerd')) ? [] : ['docker.io']);
  return startPrivateEngine(say);
}

/** Install what is missing of the host tools, and further packages, from Debian. */
async function installTools(options: SetupOptions, further: string[] = []): Promise<void> {
  const tools = (await missingTools()).map((tool) => tool.package as string);
  const packages = [...further, ...tools];
  if (packages.length === 0) return;
  await consent(
    options,
    `install from Debian's packages: ${packages.join(' ')} (apt-get remove ${packages.join(' ')} takes them off again)`,
  );
  await apt(['update', '-q']);
  await apt(['install', '-y', '-q', '--no-install-recommends', ...packages]);
}

/** Say what comes; on a terminal, outside CI and without --yes, ask. */
async function consent({ yes, say }: SetupOptions, what: string): Promise<void> {
  say(`set-up will ${what}`);
  if (yes || process.env['CI'] || !process.stdin.isTTY || !process.stderr.isTTY) return;
  const line = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await line.question('Go on? [Y/n] ').finally(() => line.close());
  if (/^n/i.test(answer.trim()))
    throw new UsageError('SETUP_FORBIDDEN', 'set-up was declined', { hint: 'install it by hand, or name another engine with --engine' });
}

async function apt(args: string[]): Promise<void> {
  const child = spawn('apt-get', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A package's service must not start: ours is a private daemon.
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0)
    throw new UsageError('SETUP_FAILED', `apt-get ${args[0]} failed`, {
      got: said.trim().split('\n').slice(-5).join('\n'),
      hint: 'see that the package mirrors can be reached, or install the packages by hand',
    });
}

/** Whether this is Debian or its kin, by os-release(5). */
export async function isDebian(): Promise<boolean> {
  const text = (await ifThere(readFile('/etc/os-release', 'utf8'))) ?? '';
  return /^ID(_LIKE)?="?[^"\n]*\bdebian\b/m.test(text);
}
