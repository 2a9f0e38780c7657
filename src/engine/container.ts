import type { Readable } from 'node:stream';
import type { Container, ContainerCreateOptions } from 'dockerode';
import { Demux, type OutputChunk } from './demux.ts';
import { type Engine, engineError, statusOf } from './engine.ts';

export interface ContainerSpec {
  image: string;
  command: string[];
  env: Record<string, string>;
  labels: Record<string, string>;
  /** Name of the volume that is the only writable place, at /work. */
  volume?: string;
  user?: string;
  limits: { memory: number; pids: number };
}

/** What every container of ours is denied, and given: see design, "the build runs as the container's main process". */
function createOptions(spec: ContainerSpec): ContainerCreateOptions {
  return {
    Image: spec.image,
    Cmd: spec.command,
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    Labels: { ...spec.labels },
    // A fixed name: a build that asks for it gets the same answer everywhere.
    Hostname: 'forge',
    User: spec.user ?? 'build',
    WorkingDir: '/work',
    AttachStdout: true,
    AttachStderr: true,
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
      ...(spec.volume === undefined ? {} : { Mounts: [{ Type: 'volume', Source: spec.volume, Target: '/work' }] }),
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
 * @throws EngineError ENGINE_LOST where the engine goes away; the signal's reason after an abort
 */
export async function runContainer(
  container: Container,
  options: { onOutput: (chunk: OutputChunk) => void | Promise<void>; timeoutMs: number; signal?: AbortSignal | undefined },
): Promise<Ended> {
  const { signal } = options;
  signal?.throwIfAborted();
  let timedOut = false;
  const kill = () => container.kill().catch(() => {});
  const timer = setTimeout(() => {
    timedOut = true;
    void kill();
  }, options.timeoutMs);
  signal?.addEventListener('abort', kill, { once: true });
  try {
    const attached = await attach(container);
    const exited = container.wait({ condition: 'next-exit' });
    exited.catch(() => {});
    if (!attached) await container.start();
    const stream = attached ?? ((await container.logs({ follow: true, stdout: true, stderr: true })) as unknown as Readable);
    if (attached) await container.start();
    if (signal?.aborted) await kill();
    const demux = new Demux();
    stream.on('error', (error) => demux.destroy(error));
    stream.on('close', () => {
      if (!stream.readableEnded) demux.destroy(new Error('aborted'));
    });
    stream.pipe(demux);
    for await (const chunk of demux as AsyncIterable<OutputChunk>) await options.onOutput(chunk);
    await exited;
    const state = (await container.inspect()).State;
    signal?.throwIfAborted();
    return { exitCode: state.ExitCode, outOfMemory: state.OOMKilled, timedOut };
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw engineError(error, 'running a container');
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', kill);
  }
}

/** The output stream before the start; undefined where the engine attaches only to what runs (some Podman versions). */
async function attach(container: Container): Promise<Readable | undefined> {
  try {
    return (await container.attach({ stream: true, stdout: true, stderr: true })) as unknown as Readable;
  } catch (error) {
    const status = statusOf(error);
    if (status !== undefined && status >= 400) return undefined;
    throw error;
  }
}
