import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { putFiles, readFileFrom } from '../engine/archive.ts';
import { runContainer } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { Workspace } from '../engine/workspace.ts';
import { EngineError } from '../errors.ts';
import { ifThere } from '../util/files.ts';
import { type BootImage, bootImageDigest, PACKAGES, packageVersion } from './boot-image.ts';
import { type JobCase, jobCases, jobFiles } from './job.ts';
import { untried } from './judge.ts';
import { Machine, type MachineOptions } from './machine.ts';
import type { BootEnvironment, BootReport, BootSubject, CaseResult } from './types.ts';

/** What booting images needs of its surroundings. */
export interface BootContext {
  engine: Engine;
  image: BootImage;
  labels: Record<string, string>;
  accelerator: 'auto' | 'tcg' | 'kvm';
  signal?: AbortSignal | undefined;
  warn: (text: string) => void;
  onResult?: (id: string, result: CaseResult) => void;
}

/** One way to have the machine. */
interface Way {
  accelerator: 'tcg' | 'kvm';
  start: 'saved' | 'cold';
  device?: { path: string; group: number };
}

/** QEMU has 512 MiB for the machine, 64 MiB for translated code, and itself. */
const LIMITS = { memory: 2 ** 30, pids: 64 };
const START_MS = { saved: 60_000, cold: 240_000 };
/** A machine that is virtualised in hardware is up in seconds, or not at all. */
const KVM_START_MS = 60_000;
/** What dom0 may take around a case. */
const AROUND_MS = 60_000;
/** Room on the job disk for guests' disks, in MiB: it is 8 GiB, and holds images, too. */
const DISKS = 6 * 1024;
/** Exit code of boot/run/job.sh where disks could not be made. */
const NO_DISKS = 3;

/** /dev/kvm of this machine, where the engine is on it. */
async function realKvm(engine: Engine): Promise<Way['device']> {
  if (!engine.endpoint.startsWith('unix:')) return undefined;
  const path = '/dev/kvm';
  const device = await ifThere(stat(path));
  if (!device?.isCharacterDevice()) return undefined;
  return { path, group: device.gid };
}

/** The ways to try, in order. KVM only where the processor has vmx or svm, or where it is asked for. */
async function waysFor({ engine, accelerator, warn }: BootContext): Promise<Way[]> {
  const emulated: Way[] = [
    { accelerator: 'tcg', start: 'saved' },
    { accelerator: 'tcg', start: 'cold' },
  ];
  if (accelerator === 'tcg') return emulated;
  const device = await realKvm(engine);
  if (!device && accelerator === 'kvm') warn('there is no /dev/kvm where the engine is; emulation is used');
  // A software KVM cannot do what Xen needs.
  const flags = /^flags\s*:.*\b(vmx|svm)\b/m.test((await ifThere(readFile('/proc/cpuinfo', 'utf8'))) ?? '');
  return device && (flags || accelerator === 'kvm') ? [{ accelerator: 'kvm', start: 'cold', device }, ...emulated] : emulated;
}

/**
 * Boot images in a real Xen, all cases of all images in one machine where nothing stops it. A case that takes the
 * machine down fails; the others go on in a new one. A way of having the machine that does not come up is told, and
 * the next is tried.
 *
 * @returns one report an image, in order
 * @throws EngineError BOOT_MACHINE_FAILED where no machine comes up, with the end of its log; the signal's reason
 */
export async function bootImages(subjects: readonly BootSubject[], context: BootContext): Promise<BootReport[]> {
  const results = new Map<JobCase, CaseResult>();
  const all = jobCases(subjects);
  const ways = await waysFor(context);
  const seen = { hopeless: new Set<BootSubject>(), alive: new Set<BootSubject>() };
  const environments = new Map<BootSubject, BootEnvironment>();
  let pending = all;
  let stuck = 0;
  while (pending.length > 0) {
    const way = ways[0] as Way;
    const batch = fitting(pending);
    const rest = pending.slice(batch.length);
    const { machine, packages, left, code } = await runMachine(batch, way, context, seen, (entry, result) => {
      results.set(entry, result);
      context.onResult?.(entry.subject.id, result);
    });
    if (machine.hypervisor === undefined) {
      const said = [...(machine.failure === undefined ? [] : [machine.failure]), ...machine.log().slice(-12)].join('\n');
      if (code === NO_DISKS)
        throw new EngineError('BOOT_MACHINE_FAILED', "the guests' disks could not be made in the boot container", {
          got: said,
          hint: "make room where the engine keeps its volumes, and see that the image is not larger than any loader's",
        });
      ways.shift();
      if (ways.length === 0 && environments.size > 0) {
        // What was booted before is known all the same.
        for (const entry of pending) {
          const result = untried(entry.bootCase, 'Xen did not come up again');
          results.set(entry, result);
          context.onResult?.(entry.subject.id, result);
        }
        break;
      }
      if (ways.length === 0)
        throw new EngineError(
          'BOOT_MACHINE_FAILED',
          `Xen and its dom0 did not come up in the boot container (exit code ${code ?? 'none'})`,
          {
            got: said,
            hint: 'it needs about 1 GB of memory on the engine; see that docs/boot.md fits this engine',
          },
        );
      context.warn(`no boot by ${way.accelerator}, ${way.start}: Xen's dom0 did not come up; trying another way`);
      continue;
    }
    const environment: BootEnvironment = {
      hypervisor: `Xen ${machine.hypervisor}`,
      qemu: packageVersion(packages, /^qemu-system-x86:/),
      dom0: `Linux ${packageVersion(packages, /^linux-image-\d/)}`,
      accelerator: way.accelerator,
      start: way.start,
      bootImage: bootImageDigest(context.image, packages),
    };
    for (const { subject } of batch.filter((entry) => !left.includes(entry))) environments.set(subject, environment);
    // A machine that ends again and again between cases would go on for ever.
    stuck = left.length === batch.length ? stuck + 1 : 0;
    if (stuck > 2)
      throw new EngineError('BOOT_MACHINE_FAILED', 'the boot container ends before it boots anything', {
        got: machine.log().slice(-12).join('\n'),
      });
    pending = [...left, ...rest];
  }
  return subjects.map((subject) => {
    const cases = all.filter((entry) => entry.subject === subject).flatMap((entry) => results.get(entry) ?? []);
    return {
      id: subject.id,
      ok: cases.length > 0 && cases.every((result) => result.ok),
      cases,
      // One that was never begun is told with where the others were.
      environment: (environments.get(subject) ?? [...environments.values()].at(-1)) as BootEnvironment,
    };
  });
}

/** As many cases as one job disk holds; one at least. */
function fitting(cases: readonly JobCase[]): JobCase[] {
  let size = 0;
  return cases.filter(({ bootCase }, i) => {
    size += bootCase.disk.size;
    return i === 0 || size <= DISKS;
  });
}

/** One container: gives what is left to do. */
async function runMachine(
  cases: readonly JobCase[],
  way: Way,
  context: BootContext,
  seen: Pick<MachineOptions, 'hopeless' | 'alive'>,
  onResult: (entry: JobCase, result: CaseResult) => void,
): Promise<{ machine: Machine; packages: string[]; left: JobCase[]; code: number | undefined }> {
  const { engine, labels } = context;
  const nonce = randomBytes(12).toString('hex');
  const stopper = new AbortController();
  const machine = new Machine({
    nonce,
    cases,
    ...seen,
    saved: way.start === 'saved',
    startMs: way.accelerator === 'kvm' ? KVM_START_MS : START_MS[way.start],
    onResult,
    stop: () => stopper.abort(),
  });
  context.signal?.throwIfAborted();
  const workspace = await Workspace.create(engine, labels);
  let code: number | undefined;
  let packages: string[] = [];
  try {
    const container = await workspace.container({
      image: context.image.id,
      command: ['sh', '/kit/run/job.sh', way.accelerator, way.start],
      env: { LC_ALL: 'C', HOME: '/cell', TMPDIR: '/cell' },
      labels,
      input: true,
      ...(way.device ? { devices: [way.device] } : {}),
      limits: LIMITS,
    });
    packages = String((await readFileFrom(container, PACKAGES))?.content ?? '')
      .trim()
      .split('\n');
    await putFiles(container, '/cell', jobFiles(cases, nonce));
    const signal = context.signal ? AbortSignal.any([context.signal, stopper.signal]) : stopper.signal;
    const ended = await runContainer(container, {
      onOutput: (chunk) => machine.output(chunk),
      onInput: (input) => machine.start(input),
      timeoutMs: START_MS.cold + cases.reduce((sum, { bootCase }) => sum + bootCase.limit * 1000 + AROUND_MS, 0),
      signal,
    });
    code = ended.exitCode;
    if (ended.outOfMemory || ended.timedOut) {
      throw new EngineError(
        'BOOT_MACHINE_FAILED',
        `the boot container ${ended.outOfMemory ? 'needed more memory than 1 GiB' : 'did not come to an end'}`,
        {
          got: machine.log().slice(-12).join('\n'),
        },
      );
    }
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
