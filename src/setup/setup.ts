import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, symlink } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import type { Engine } from '../engine/engine.ts';
import { findEngine } from '../engine/find/find.ts';
import { EngineError, InterruptedError, UsageError } from '../errors.ts';
import { ifThere } from '../util/files.ts';
import { missingTools, which } from './host-tools.ts';
import { startPrivateEngine } from './private-engine.ts';
import { installedPackages, recordSetup } from './record.ts';

/** What set-up may do, and how it speaks. */
export interface SetupOptions {
  /** "auto", "private" or an endpoint. */
  wanted: string;
  /** False with --no-setup: nothing is installed or started. */
  allowed: boolean;
  /** Do not ask. */
  yes: boolean;
  /** Install nothing, because that needs a network; what is there may be started. */
  offline?: boolean;
  signal?: AbortSignal | undefined;
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
    // The tools are only for some origins: without them the work goes on.
    if (allowed && root && debian) await installTools(options).catch(orWarn(say));
    return { engine, release: async () => {} };
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'ENGINE_NOT_FOUND' || !own || !allowed || !root) throw error;
    missing = error;
  }
  const installed = await which('dockerd');
  if (!installed && (!debian || options.offline)) throw missing;
  if (installed) await installTools(options).catch(orWarn(say));
  else await installTools(options, ['docker.io']);
  options.signal?.throwIfAborted();
  return startPrivateEngine(say);
}

/** Passes on an interruption; tells anything else and goes on. */
function orWarn(say: (text: string) => void): (error: unknown) => void {
  return (error) => {
    if (error instanceof InterruptedError) throw error;
    say(`going on without: ${(error as Error).message}`);
  };
}

/**
 * Keep the services of Docker's packages from starting, now and at the next boot: links to /dev/null, as
 * `systemctl mask` makes them (systemd.unit(5)). Ours is a private daemon. Where there is a unit already, nothing is done.
 */
async function maskServices(): Promise<void> {
  const units: string[] = [];
  for (const unit of ['docker.service', 'docker.socket', 'containerd.service']) {
    await symlink('/dev/null', `/etc/systemd/system/${unit}`).then(
      () => units.push(unit),
      () => {},
    );
  }
  if (units.length > 0) await recordSetup({ units });
}

/** Install what is missing of the host tools, and further packages, from Debian. */
async function installTools(options: SetupOptions, further: string[] = []): Promise<void> {
  const tools = (await missingTools()).map((tool) => tool.package as string);
  const packages = [...further, ...tools];
  if (packages.length === 0) return;
  if (options.offline) throw new UsageError('SETUP_FORBIDDEN', `not installed, because of --offline: ${packages.join(' ')}`);
  const masked =
    further.length > 0 ? "; Docker's own services stay off (systemctl unmask docker.service docker.socket containerd.service)" : '';
  await consent(options, `install from Debian's packages: ${packages.join(' ')} (pvgrub clean setup takes them off again${masked})`);
  if (further.length > 0) await maskServices();
  await apt(['update', '-q'], options.signal);
  const before = await installedPackages();
  try {
    await apt(['install', '-y', '-q', '--no-install-recommends', ...packages], options.signal);
  } finally {
    const fresh = [...(await installedPackages()).keys()].filter((name) => !before.has(name));
    if (fresh.length > 0) await recordSetup({ packages: fresh });
  }
}

/** Say what comes; on a terminal, outside CI and without --yes, ask. */
async function consent({ yes, say, signal }: SetupOptions, what: string): Promise<void> {
  say(`set-up will ${what}`);
  if (yes || process.env['CI'] || !process.stdin.isTTY || !process.stderr.isTTY) return;
  const line = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await line
    .question('Go on? [Y/n] ', signal ? { signal } : {})
    .catch(() => {
      // Ctrl-C, or the end of input.
      throw new InterruptedError();
    })
    .finally(() => line.close());
  if (/^n/i.test(answer.trim()))
    throw new UsageError('SETUP_FORBIDDEN', 'set-up was declined', { hint: 'install it by hand, or name another engine with --engine' });
}

async function apt(args: string[], signal?: AbortSignal): Promise<void> {
  const child = spawn('apt-get', args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  if (signal?.aborted) throw new InterruptedError();
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
