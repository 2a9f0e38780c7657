import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { processStart } from '../util/process-start.ts';
import type { Engine } from './engine.ts';
import { engineError, statusOf } from './engine.ts';

const PREFIX = 'pvgrub-forge';

/** Who made a container or volume: so that a later run can sweep what a killed one left. */
export interface Owner {
  run: string;
  /** The machine: several may share an engine. */
  machine: string;
  /** The machine's boot: process ids of an earlier one mean nothing. */
  boot: string;
  /** The space of process ids: in a container beside ours, which may share the engine, the same id is another process. */
  space: string;
  pid: number;
  /** The process's start time in clock ticks since boot: a process id alone may be used again. */
  started: string;
}

function orNothing(read: () => string): string {
  try {
    return read().trim();
  } catch {
    return '';
  }
}

/** What this machine is called in labels. */
export const thisMachine = (): string => `${orNothing(() => readFileSync('/etc/machine-id', 'utf8'))}/${hostname()}`;

/** Where process ids of ours are valid. The host name tells copies of a machine apart, and containers, that have no machine id. */
function thisPlace(): Pick<Owner, 'machine' | 'boot' | 'space'> {
  return {
    machine: thisMachine(),
    boot: orNothing(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')),
    space: orNothing(() => readlinkSync('/proc/self/ns/pid')),
  };
}

/** The owner for this process. */
export function thisOwner(run: string): Owner {
  return { run, ...thisPlace(), pid: process.pid, started: processStart(process.pid) ?? '0' };
}

/** The labels that say so. */
export function ownerLabels(owner: Owner): Record<string, string> {
  return {
    [PREFIX]: 'work',
    [`${PREFIX}.run`]: owner.run,
    [`${PREFIX}.machine`]: owner.machine,
    [`${PREFIX}.boot`]: owner.boot,
    [`${PREFIX}.space`]: owner.space,
    [`${PREFIX}.pid`]: String(owner.pid),
    [`${PREFIX}.started`]: owner.started,
  };
}

/**
 * Whether the process that labels name is gone. Those of another machine, or in another space of process ids, are not
 * ours to judge; of an earlier boot they are gone.
 */
export function ownerGone(
  labels: Record<string, string> | undefined,
  here: Pick<Owner, 'machine' | 'boot' | 'space'> = thisPlace(),
): boolean {
  if (labels?.[PREFIX] !== 'work' || labels[`${PREFIX}.machine`] !== here.machine) return false;
  if (labels[`${PREFIX}.boot`] !== here.boot) return true;
  if (labels[`${PREFIX}.space`] !== here.space) return false;
  const pid = Number(labels[`${PREFIX}.pid`]);
  return processStart(pid) !== labels[`${PREFIX}.started`];
}

/** How many containers and volumes of killed runs an engine has. */
export async function leftoversOn(engine: Engine): Promise<number> {
  return (await workOn(engine)).filter((labels) => ownerGone(labels)).length;
}

/** How many runs of this machine, or of others, use an engine now. */
export async function runningOn(engine: Engine): Promise<number> {
  const alive = (await workOn(engine)).filter((labels) => !ownerGone(labels));
  return new Set(alive.map((labels) => labels[`${PREFIX}.run`])).size;
}

/** The labels of everything on an engine that a run has made for its work. */
async function workOn({ docker }: Engine): Promise<Record<string, string>[]> {
  const filters = { label: [`${PREFIX}=work`] };
  const containers = await docker.listContainers({ all: true, filters });
  const { Volumes } = await docker.listVolumes({ filters: JSON.stringify(filters) as never });
  // A volume that `build --debug` kept is still labelled as the run's; it is a container's that is kept on purpose.
  const kept = await docker.listContainers({ all: true, filters: { label: [`${PREFIX}=kept`] } });
  const held = new Set(kept.flatMap(({ Mounts }) => Mounts.map(({ Name }) => Name)));
  return [...containers, ...(Volumes ?? []).filter(({ Name }) => !held.has(Name))].map(({ Labels }) => Labels);
}

/** Remove containers and volumes whose run was killed. Gives how many there were. */
export async function sweep(engine: Engine): Promise<number> {
  const filters = { label: [`${PREFIX}=work`] };
  const { docker } = engine;
  let swept = 0;
  const gone = async (removal: Promise<unknown>) => {
    try {
      await removal;
      swept++;
    } catch (error) {
      // 404: someone else was faster; 409: it is being removed, or still in use.
      if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error;
    }
  };
  try {
    for (const container of await docker.listContainers({ all: true, filters })) {
      if (ownerGone(container.Labels)) await gone(docker.getContainer(container.Id).remove({ force: true, v: true }));
    }
    const { Volumes } = await docker.listVolumes({ filters: JSON.stringify(filters) as never });
    for (const volume of Volumes ?? []) {
      if (ownerGone(volume.Labels)) await gone(docker.getVolume(volume.Name).remove({ force: true }));
    }
  } catch (error) {
    throw engineError(error, 'removing what a killed run left');
  }
  return swept;
}
