import { availableParallelism } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { UsageError } from '../errors.ts';
import type { ConfigInput } from './schema.ts';
import { parseBytes, parseDuration } from './units.ts';

/** The configuration with everything filled in: what the stages get. */
export interface Settings {
  loaders: ConfigInput['loaders'] & {};
  include: string[];
  exclude: string[];
  default: string[];
  /** Absolute folder for the results. */
  output: string;
  /** Absolute folder of the content-addressed store. */
  store: string;
  /** Absolute folder of what later builds may take over. */
  cache: string;
  /** Absolute path of the lock file: checksums that a signature has proved. */
  lock: string;
  /** Engines to build on, at least one; commands that need only one take the first that answers. */
  engines: EngineWish[];
  /** Cores that all cells together may use on one engine. */
  cores: number;
  /** Cells side by side on one engine at the most. */
  cells: number;
  /** Both where somebody has said so; else they are what this machine has. */
  given: { cores: number | undefined; cells: number | undefined };
  limits: { timeMs: number; memory: number; pids: number; source: number };
  mirrors: string[];
  debianMirror: string | undefined;
  origins: Record<string, string[]>;
  trust: string[];
  offline: boolean;
  image: { base: string; suite: 'bookworm' };
}

/** An engine that settings name, and what may be used of it. */
export interface EngineWish {
  /** "auto", "private" or an endpoint. */
  address: string;
  cores?: number | undefined;
  cells?: number | undefined;
}

/** Node's timers take no more milliseconds (24 days); one that is longer ends at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** What the command line says; every member wins over environment and configuration. */
export interface Overrides {
  output?: string | undefined;
  store?: string | undefined;
  cache?: string | undefined;
  lock?: string | undefined;
  engines?: string[] | undefined;
  jobs?: number | undefined;
  offline?: boolean | undefined;
  /** NAME=ORIGIN texts. */
  origins?: string[] | undefined;
  trust?: string[] | undefined;
  base?: string | undefined;
}

/** A variable of the XDG base directory specification, which says to ignore a relative path. */
function xdg(value: string | undefined): string | undefined {
  return value !== undefined && isAbsolute(value) ? value : undefined;
}

/** The folder for caches, by the XDG base directory specification. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(xdg(env['XDG_CACHE_HOME']) ?? join(env['HOME'] || '/root', '.cache'), 'pvgrub-forge');
}

/** The folder for state that outlives a run (the private engine), by the XDG base directory specification. */
export function stateFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(xdg(env['XDG_STATE_HOME']) ?? join(env['HOME'] || '/root', '.local/state'), 'pvgrub-forge');
}

/**
 * A number that a flag or a variable gives.
 * @throws UsageError OPTION_INVALID for anything but a whole number from 1
 */
export function positiveInteger(text: string, what: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError('OPTION_INVALID', `${what} is "${text}"`, { expected: 'a whole number from 1' });
  return Number(text);
}

function flag(text: string | undefined, what: string): boolean | undefined {
  if (text === undefined || text === '') return undefined;
  if (['1', 'true', 'yes'].includes(text)) return true;
  if (['0', 'false', 'no'].includes(text)) return false;
  throw new UsageError('OPTION_INVALID', `${what} is "${text}"`, { expected: '1 or 0' });
}

/** Those of the first layer that names any. */
function enginesOf(config: ConfigInput, { engines }: Overrides, env: NodeJS.ProcessEnv): EngineWish[] {
  const named = engines ?? env['PVGRUB_ENGINE']?.split(/\s+/).filter(Boolean) ?? [];
  if (named.length > 0) return named.map((address) => ({ address }));
  if (config.engine !== undefined && config.engines !== undefined)
    throw new UsageError('CONFIG_INVALID', 'the configuration has engine and engines', { expected: 'one of them' });
  return (config.engines ?? [config.engine ?? 'auto']).map((entry) => (typeof entry === 'string' ? { address: entry } : entry));
}

/** Split NAME=ORIGIN. */
function originPair(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) {
    throw new UsageError('OPTION_INVALID', `--origin ${text}: no NAME=ORIGIN`, {
      hint: '--origin xen=git:/srv/mirror/xen.git, --origin grub=/srv/files/grub-0.97.tar.gz',
    });
  }
  return [text.slice(0, at), text.slice(at + 1)];
}

/**
 * Join the layers: flags over environment (PVGRUB_*) over the configuration file over the defaults.
 * Paths of the configuration are relative to its file, paths of flags and environment to `cwd`.
 */
export function settle(input: {
  config: ConfigInput;
  file?: string | undefined;
  overrides: Overrides;
  env: NodeJS.ProcessEnv;
  cwd: string;
}): Settings {
  const { config, overrides, env, cwd } = input;
  const base = input.file === undefined ? cwd : dirname(input.file);
  const cores = config.concurrency?.cores ?? availableParallelism();
  const envJobs = env['PVGRUB_JOBS'] ? positiveInteger(env['PVGRUB_JOBS'], 'PVGRUB_JOBS') : undefined;
  const path = (given: string | undefined, fromEnv: string | undefined, fromConfig: string | undefined, fallback: string): string => {
    if (given) return resolve(cwd, given);
    if (fromEnv) return resolve(cwd, fromEnv);
    if (fromConfig) return resolve(base, fromConfig);
    return fallback;
  };
  const origins: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(config.origins ?? {})) origins[name] = typeof value === 'string' ? [value] : [...value];
  const replaced = new Set<string>();
  for (const [name, value] of (overrides.origins ?? []).map(originPair)) {
    if (!replaced.has(name)) origins[name] = [];
    replaced.add(name);
    origins[name]?.push(value);
  }
  const budget = overrides.jobs ?? envJobs ?? cores;
  return {
    loaders: config.loaders ?? {},
    include: config.include ?? [],
    exclude: config.exclude ?? [],
    default: config.default ?? [],
    output: path(overrides.output, env['PVGRUB_OUT'], config.output, resolve(base, 'artifacts')),
    store: path(overrides.store, env['PVGRUB_STORE'], config.store, join(cacheFolder(env), 'store')),
    cache: path(overrides.cache, env['PVGRUB_CACHE'], config.cache, join(cacheFolder(env), 'build')),
    lock: path(overrides.lock, env['PVGRUB_LOCK'], config.lock, resolve(base, 'sources.lock.json')),
    engines: enginesOf(config, overrides, env),
    cores: budget,
    cells: Math.min(config.concurrency?.cells ?? budget, budget),
    given: { cores: overrides.jobs ?? envJobs ?? config.concurrency?.cores, cells: config.concurrency?.cells },
    limits: {
      timeMs: Math.min(parseDuration(config.limits?.time ?? '90m'), LONGEST_TIMER),
      memory: parseBytes(config.limits?.memory ?? '4g'),
      pids: config.limits?.pids ?? 4096,
      source: parseBytes(config.limits?.source ?? '512m'),
    },
    mirrors: config.mirrors ?? [],
    debianMirror: env['PVGRUB_DEBIAN_MIRROR'] || config.debianMirror,
    origins,
    trust: [...new Set([...(config.trust ?? []), ...(overrides.trust ?? [])])],
    offline: overrides.offline ?? flag(env['PVGRUB_OFFLINE'], 'PVGRUB_OFFLINE') ?? config.offline ?? false,
    image: {
      base: overrides.base ?? (env['PVGRUB_BASE'] || undefined) ?? config.image?.base ?? 'auto',
      suite: config.image?.suite ?? 'bookworm',
    },
  };
}
