import { randomBytes } from 'node:crypto';
import type { PutFile } from '../engine/archive.ts';
import { putFiles, readFileFrom } from '../engine/archive.ts';
import { type ContainerSpec, runContainer } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { Workspace } from '../engine/workspace.ts';
import { EngineError } from '../errors.ts';
import { type BootImage, bootImageDigest, PACKAGES, packageVersion } from './boot-image.ts';
import { type CaseWatch, Machine, type MachineCase, type MachineOptions } from './machine.ts';
import type { BootEnvironment } from './types.ts';
import type { Way } from './ways.ts';

/** QEMU has 512 MiB for the machine, 64 MiB for translated code, and itself. */
const LIMITS = { memory: 2 ** 30, pids: 64 };
const START_MS = { saved: 60_000, cold: 240_000 };
/** A machine that is virtualised in hardware is up in seconds, or not at all. */
const KVM_START_MS = 60_000;
/** What dom0 may take around a case. */
const AROUND_MS = 60_000;
/** Exit codes of boot/run/job.sh: disks could not be made; a guest's own disk cannot be read in the container. */
export const NO_DISKS = 3;
export const NO_GUEST_DISK = 4;

/** What a machine is run with, besides its cases. */
export interface MachineJob<Case extends MachineCase, Watcher extends CaseWatch>
  extends Pick<MachineOptions<Case, Watcher>, 'begun' | 'ended'> {
  cases: readonly Case[];
  /** What goes below /cell; the secret is that which dom0's words begin with. */
  files: (nonce: string) => PutFile[];
  /** MiB that the machine has; 512 if not said. */
  memory?: number;
  /** Files and devices of the engine's machine that it may read. */
  binds?: ContainerSpec['binds'];
  devices?: ContainerSpec['devices'];
  /** Called with the machine before it starts. */
  onMachine?: (machine: Machine<Case, Watcher>) => void;
}

/** Where machines run. */
export interface MachineContext {
  engine: Engine;
  image: BootImage;
  labels: Record<string, string>;
  signal?: AbortSignal | undefined;
  warn: (text: string) => void;
}

/** What became of a machine. */
export interface MachineRun<Case extends MachineCase, Watcher extends CaseWatch> {
  machine: Machine<Case, Watcher>;
  /** Packages of the boot image. */
  packages: string[];
  /** Cases that were not gone through. */
  left: Case[];
  code: number | undefined;
}

/**
 * Run one machine in a container of its own until its cases are through, or it has to be stopped.
 * @throws EngineError BOOT_MACHINE_FAILED where it needs more memory or time than it has; the signal's reason
 */
export async function runMachine<Case extends MachineCase, Watcher extends CaseWatch>(
  job: MachineJob<Case, Watcher>,
  way: Way,
  context: MachineContext,
): Promise<MachineRun<Case, Watcher>> {
  const { engine, labels } = context;
  const { cases, memory = 512 } = job;
  const nonce = randomBytes(12).toString('hex');
  const stopper = new AbortController();
  const machine = new Machine<Case, Watcher>({
    nonce,
    cases,
    begun: job.begun,
    ended: job.ended,
    saved: way.start === 'saved',
    startMs: way.accelerator === 'kvm' ? KVM_START_MS : START_MS[way.start],
    stop: () => stopper.abort(),
  });
  job.onMachine?.(machine);
  context.signal?.throwIfAborted();
  const workspace = await Workspace.create(engine, labels);
  const limit = LIMITS.memory + Math.max(0, memory - 512) * 2 ** 20;
  const devices = [...(way.device ? [way.device] : []), ...(job.devices ?? [])];
  let code: number | undefined;
  let packages: string[] = [];
  try {
    const container = await workspace.container({
      image: context.image.id,
      command: ['sh', '/kit/run/job.sh', way.accelerator, way.start, String(memory)],
      env: { LC_ALL: 'C', HOME: '/cell', TMPDIR: '/cell' },
      labels,
      input: true,
      ...(devices.length > 0 ? { devices } : {}),
      ...(job.binds === undefined ? {} : { binds: job.binds }),
      limits: { ...LIMITS, memory: limit },
    });
    packages = String((await readFileFrom(container, PACKAGES))?.content ?? '')
      .trim()
      .split('\n');
    await putFiles(container, '/cell', job.files(nonce));
    const signal = context.signal ? AbortSignal.any([context.signal, stopper.signal]) : stopper.signal;
    const ended = await runContainer(container, {
      onOutput: (chunk) => machine.output(chunk),
      onInput: (input) => machine.start(input),
      timeoutMs: START_MS.cold + cases.reduce((sum, entry) => sum + entry.limit * 1000 + AROUND_MS, 0),
      signal,
    });
    code = ended.exitCode;
    if (ended.outOfMemory || ended.timedOut)
      throw new EngineError(
        'BOOT_MACHINE_FAILED',
        `the boot container ${ended.outOfMemory ? `needed more memory than ${Math.round(limit / 2 ** 20)} MiB` : 'did not come to an end'}`,
        {
          got: machine.log().slice(-12).join('\n'),
        },
      );
  } catch (error) {
    context.signal?.throwIfAborted();
    // Stopped by ourselves, because it hung: what was under way is judged as lost.
    if (!stopper.signal.aborted) {
      // An engine that cannot give it the device, as one in a virtual machine or without root.
      if (!way.device || !(error instanceof EngineError) || error.code !== 'ENGINE_REFUSED') throw error;
      context.warn(error.message);
    }
  } finally {
    machine.quiet();
    await workspace.remove(context.warn);
  }
  return { machine, packages, left: machine.over(), code };
}

/** Where a machine that came up ran. */
export function environmentOf(
  { machine, packages }: { machine: { hypervisor: string | undefined }; packages: readonly string[] },
  way: Way,
  image: BootImage,
): BootEnvironment {
  return {
    hypervisor: `Xen ${machine.hypervisor}`,
    qemu: packageVersion(packages, /^qemu-system-x86:/),
    dom0: `Linux ${packageVersion(packages, /^linux-image-\d/)}`,
    accelerator: way.accelerator,
    start: way.start,
    bootImage: bootImageDigest(image, packages),
  };
}
