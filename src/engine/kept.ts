import type { Container } from 'dockerode';
import { CELL } from './container.ts';
import { type Engine, engineError, statusOf } from './engine.ts';
import { thisMachine } from './labels.ts';

/** What `build --debug` keeps of a cell that failed: its volume, and a container of the build image that has it, not running. */

const LABEL = 'pvgrub-forge';
const CELL_LABEL = `${LABEL}.cell`;
/** An engine may be shared: what another machine keeps there is not ours. */
const MACHINE_LABEL = `${LABEL}.machine`;

/** What the container of a cell is called. */
export const keptName = (cell: string) => `pvgrub-debug-${cell}`;

/** One that is on an engine. */
export interface Kept {
  cell: string;
  container: string;
  volume: string | undefined;
}

/**
 * Keep a cell's volume, which nobody sweeps while this container has it; what was kept of the cell before is removed.
 * @param env the build's environment
 * @throws EngineError
 */
export async function keep(engine: Engine, cell: string, volume: string, image: string, env: Record<string, string>): Promise<void> {
  try {
    for (const old of await keptOn(engine, cell)) await removeKept(engine, old);
    await engine.docker.createContainer({
      name: keptName(cell),
      Image: image,
      Cmd: ['bash'],
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      Labels: { [LABEL]: 'kept', [CELL_LABEL]: cell, [MACHINE_LABEL]: thisMachine() },
      Hostname: 'forge',
      User: 'build',
      WorkingDir: CELL,
      Tty: true,
      OpenStdin: true,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      NetworkDisabled: true,
      HostConfig: {
        NetworkMode: 'none',
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        Mounts: [{ Type: 'volume', Source: volume, Target: CELL }],
      },
    } as Parameters<Engine['docker']['createContainer']>[0]);
  } catch (error) {
    throw engineError(error, `keeping the volume of ${cell}`);
  }
}

/** What this machine keeps on an engine, of one cell or of all. @throws EngineError */
export async function keptOn(engine: Engine, cell?: string): Promise<Kept[]> {
  const label = [`${LABEL}=kept`, `${MACHINE_LABEL}=${thisMachine()}`, ...(cell === undefined ? [] : [`${CELL_LABEL}=${cell}`])];
  try {
    const containers = await engine.docker.listContainers({ all: true, filters: { label } });
    return containers.map(({ Id, Labels, Mounts }) => ({
      cell: Labels[CELL_LABEL] ?? '',
      container: Id,
      volume: Mounts.find(({ Destination }) => Destination === CELL)?.Name,
    }));
  } catch (error) {
    throw engineError(error, 'looking for what is kept');
  }
}

/** Remove it. One that somebody has a shell in is not removed. @throws EngineError */
export async function removeKept(engine: Engine, { container, volume }: Kept): Promise<void> {
  try {
    await engine.docker.getContainer(container).remove();
    if (volume !== undefined) await engine.docker.getVolume(volume).remove();
  } catch (error) {
    if (statusOf(error) !== 404) throw engineError(error, 'removing what is kept');
  }
}

/**
 * A shell in it, joined to streams of ours; started if it is not running.
 * @returns the shell's exit code
 * @throws EngineError
 */
export async function shellIn(
  engine: Engine,
  { container: id }: Kept,
  terminal: { input: NodeJS.ReadStream; output: NodeJS.WriteStream },
): Promise<number> {
  const { input, output } = terminal;
  try {
    const container: Container = engine.docker.getContainer(id);
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const exited = container.wait({ condition: 'next-exit' }) as Promise<{ StatusCode: number }>;
    exited.catch(() => {});
    const before = await container.inspect();
    if (!before.State.Running) await container.start();
    const resize = () => container.resize({ h: output.rows, w: output.columns }).catch(() => {});
    if (output.isTTY) {
      await resize();
      output.on('resize', resize);
    }
    if (input.isTTY) input.setRawMode(true);
    stream.on('data', (chunk: Buffer) => output.write(chunk));
    input.pipe(stream);
    try {
      await new Promise<void>((resolve) => stream.once('end', resolve).once('close', resolve));
      return (await Promise.race([exited, container.inspect().then(({ State }) => ({ StatusCode: State.ExitCode }))])).StatusCode;
    } finally {
      if (input.isTTY) input.setRawMode(false);
      input.unpipe(stream);
      input.pause();
      output.off('resize', resize);
    }
  } catch (error) {
    throw engineError(error, 'running a shell');
  }
}
