import type { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container, ContainerCreateOptions } from 'dockerode';
import { EngineError } from '../errors.ts';
import { Demux, type OutputChunk } from './demux.ts';
import { type Engine, engineError, statusOf } from './engine.ts';

/** What differs between containers; all else is fixed. */
export interface ContainerSpec {
  image: string;
  command: string[];
  env: Record<string, string>;
  labels: Record<string, string>;
  /** Name of the volume that is the only writable place. */
  volume?: string;
  /** Where the volume is; {@link CELL} if not said. */
  place?: string;
  /** What it believes the machine to be called. */
  host?: string;
  /** Folders below that place that are in memory, empty, and gone afterwards; what the volume has there can be read below /disk. */
  inMemory?: string[];
  /** A volume that it may only read, and where. */
  reads?: { volume: string; at: string };
  user?: string;
  /** Its standard input can be written to while it runs. */
  input?: boolean;
  /** Devices of the engine's machine that it may use, with the group that owns them there; `at`: under this name, and to read only. */
  devices?: { path: string; group: number; at?: string }[];
  /** Files of the engine's machine that it may read, where it has them, and the group that may read them there. */
  binds?: { path: string; at: string; group?: number }[];
  limits: { memory: number; pids: number };
}

/** Where a container of ours has the volume that it works in. */
export const CELL = '/cell';

/** What every container of ours is denied, and given: see design, "the build runs as the container's main process". */
function createOptions(spec: ContainerSpec): ContainerCreateOptions {
  const { place = CELL } = spec;
  const owners = [...(spec.devices ?? []), ...(spec.binds ?? [])].flatMap(({ group }) => group ?? []);
  return {
    Image: spec.image,
    Cmd: spec.command,
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    Labels: { ...spec.labels },
    // A fixed name: a build that asks for it gets the same answer everywhere.
    Hostname: spec.host ?? 'forge',
    User: spec.user ?? 'build',
    WorkingDir: place,
    AttachStdout: true,
    AttachStderr: true,
    ...(spec.input ? { AttachStdin: true, OpenStdin: true, StdinOnce: true } : {}),
    NetworkDisabled: true,
    HostConfig: {
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Memory: spec.limits.memory,
      // No swap on top: running out of memory is an answer, not a slow death.
      MemorySwap: spec.limits.memory,
      PidsLimit: spec.limits.pids,
      ...(spec.devices === undefined
        ? {}
        : {
            Devices: spec.devices.map(({ path, at }) => ({
              PathOnHost: path,
              PathInContainer: at ?? path,
              CgroupPermissions: at === undefined ? 'rw' : 'r',
            })),
          }),
      ...(owners.length === 0 ? {} : { GroupAdd: owners.map(String) }),
      ...(spec.volume === undefined
        ? {}
        : {
            Mounts: [
              { Type: 'volume', Source: spec.volume, Target: place },
              ...(spec.binds ?? []).map(({ path, at }) => ({ Type: 'bind', Source: path, Target: at, ReadOnly: true })),
              ...(spec.inMemory === undefined ? [] : [{ Type: 'volume', Source: spec.volume, Target: '/disk', ReadOnly: true }]),
              ...(spec.reads === undefined ? [] : [{ Type: 'volume', Source: spec.reads.volume, Target: spec.reads.at, ReadOnly: true }]),
            ],
          }),
      // It counts as the container's memory.
      ...(spec.inMemory === undefined
        ? {}
        : {
            Tmpfs: Object.fromEntries(spec.inMemory.map((name) => [`${place}/${name}`, `rw,exec,nosuid,nodev,size=${spec.limits.memory}`])),
          }),
    },
  } as ContainerCreateOptions;
}

/** Create a container that does not run yet. */
export async function createContainer(engine: Engine, spec: ContainerSpec): Promise<Container> {
  try {
    return await engine.docker.createContainer(createOptions(spec));
  } catch (error) {
    throw engineError(error, 'creating a container');
  }
}

/** Remove a container; one that is gone, or going, is fine. */
export async function removeContainer(container: Container): Promise<void> {
  try {
    await container.remove({ force: true, v: true });
  } catch (error) {
    if (statusOf(error) !== 404 && statusOf(error) !== 409) throw engineError(error, 'removing a container');
  }
}

/** How a container's main process ended. */
export interface Ended {
  exitCode: number;
  outOfMemory: boolean;
  timedOut: boolean;
}

/**
 * Run a created container to its end. The order loses nothing: attach, arm wait, start, read the output to its end,
 * inspect. An abort or the time limit kills it; nothing is removed here.
 *
 * @param onOutput called with each piece in order; what it returns is awaited, so a slow reader slows the build
 * @param onInput given the standard input of a container that has one, once it runs
 * @throws EngineError ENGINE_LOST where the engine goes away; the signal's reason after an abort
 */
export async function runContainer(
  container: Container,
  options: {
    onOutput: (chunk: OutputChunk) => void | Promise<void>;
    onInput?: (input: Writable) => void;
    timeoutMs: number;
    signal?: AbortSignal | undefined;
  },
): Promise<Ended> {
  const { signal } = options;
  signal?.throwIfAborted();
  let timedOut = false;
  const stuck = Promise.withResolvers<never>();
  stuck.promise.catch(() => {});
  let patience: NodeJS.Timeout | undefined;
  const kill = () => {
    patience ??= setTimeout(() => stuck.reject(new EngineError('ENGINE_LOST', NOT_STOPPED, { hint: 'restart the engine' })), STOP_MS);
    return container.kill().catch(() => {});
  };
  const timer = setTimeout(() => {
    timedOut = true;
    void kill();
  }, options.timeoutMs);
  signal?.addEventListener('abort', kill, { once: true });
  let stream: Readable | undefined;
  const work = async (): Promise<Ended> => {
    const { onInput } = options;
    stream = await attach(container, onInput !== undefined);
    const exited = container.wait({ condition: 'next-exit' });
    exited.catch(() => {});
    await container.start();
    // Some engines attach only to what runs.
    if (!stream && onInput) stream = await attach(container, true, { logs: true });
    stream ??= (await container.logs({ follow: true, stdout: true, stderr: true })) as unknown as Readable;
    onInput?.(stream as Duplex);
    // A kill that came before the start has killed nothing.
    if (signal?.aborted || timedOut) await kill();
    const demux = new Demux();
    // Its error comes out of the demux, too.
    pipeline(stream, demux).catch(() => {});
    for await (const chunk of demux as AsyncIterable<OutputChunk>) await options.onOutput(chunk);
    await ended(container, exited);
    const state = (await container.inspect()).State;
    signal?.throwIfAborted();
    return { exitCode: state.ExitCode, outOfMemory: state.OOMKilled, timedOut };
  };
  try {
    return await Promise.race([work(), stuck.promise]);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw engineError(error, 'running a container');
  } finally {
    clearTimeout(timer);
    clearTimeout(patience);
    signal?.removeEventListener('abort', kill);
    // Where the start or the reader failed, nobody reads the rest, and an open connection keeps the process alive.
    stream?.destroy();
  }
}

/** How long an engine may take to stop a container. */
const STOP_MS = 30_000;
const NOT_STOPPED = 'the engine did not stop a container within 30 s';

/** How often the engine is asked whether a container whose output has ended still runs. */
const ASK_MS = 1000;

/**
 * Wait for a container's exit. An engine that dies may end the output as if all were well, and its client never
 * settles the wait then: so the engine is asked, too.
 */
async function ended(container: Container, exited: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const ask = async (): Promise<void> => {
    do await sleep(ASK_MS, undefined, { signal: over.signal });
    while ((await container.inspect()).State.Running);
  };
  try {
    await Promise.race([exited, ask()]);
  } finally {
    over.abort();
  }
}

/**
 * The stream of a container's output, and input where that is wanted; undefined where the engine attaches only to what
 * runs (some Podman versions).
 */
async function attach(container: Container, input: boolean, more: { logs?: boolean } = {}): Promise<Readable | undefined> {
  try {
    const both = input ? { stdin: true, hijack: true } : {};
    return (await container.attach({ stream: true, stdout: true, stderr: true, ...both, ...more })) as unknown as Readable;
  } catch (error) {
    const status = statusOf(error);
    if (status !== undefined && status >= 400) return undefined;
    throw error;
  }
}
