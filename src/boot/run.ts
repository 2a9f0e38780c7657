import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { putFiles } from '../engine/archive.ts';
import { runContainer } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { Workspace } from '../engine/workspace.ts';
import { EngineError } from '../errors.ts';
import { ifThere } from '../util/files.ts';
import { type BootImage, packageVersion } from './boot-image.ts';
import { type JobCase, jobCases, jobFiles } from './job.ts';
import { Machine } from './machine.ts';
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
/** The whole of a job, at the very most. */
const LONGEST_MS = 6 * 3_600_000;

/** /dev/kvm of this machine, where the engine is on it and its processor can do what Xen needs: a software KVM cannot. */
async function realKvm(engine: Engine): Promise<Way['device']> {
  if (!engine.endpoint.startsWith('unix:')) return undefined;
  const path = '/dev/kvm';
  const device = await ifThere(stat(path));
  if (!device?.isCharacterDevice()) return undefined;
  return { path, group: device.gid };
}

/** The ways to try, in order. KVM only where the processor has vmx or svm, or where it is asked for. */
async function waysFor({ engine, accelerator }: BootContext): Promise<Way[]> {
  const emulated: Way[] = [
    { accelerator: 'tcg', start: 'saved' },
    { accelerator: 'tcg', start: 'cold' },
  ];
  if (accelerator === 'tcg') return emulated;
  const device = await realKvm(engine);
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
  const hopeless = new Set<BootSubject>();
  let environment: BootEnvironment | undefined;
  let pending = all;
  let stuck = 0;
  while (pending.length > 0) {
    const way = ways[0] as Way;
    const { machine, left, code } = await runMachine(pending, way, context, hopeless, (entry, result) => {
      results.set(entry, result);
      context.onResult?.(entry.subject.id, result);
    });
    if (machine.hypervisor === undefined) {
      const said = [...(machine.failure === undefined ? [] : [machine.failure]), ...machine.log().slice(-12)].join('\n');
      ways.shift();
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
    environment = {
      hypervisor: `Xen ${machine.hypervisor}`,
      qemu: packageVersion(context.image.packages, /^qemu-system-x86:/),
      dom0: `Linux ${packageVersion(context.image.packages, /^linux-image-\d/)}`,
      accelerator: way.accelerator,
      start: way.start,
      bootImage: context.image.digest,
    };
    // A machine that ends again and again between cases would go on for ever.
    stuck = left.length === pending.length ? stuck + 1 : 0;
    if (stuck > 2)
      throw new EngineError('BOOT_MACHINE_FAILED', 'the boot container ends before it boots anything', {
        got: machine.log().slice(-12).join('\n'),
      });
    pending = left;
  }
  return subjects.map((subject) => {
    const cases = all.filter((entry) => entry.subject === subject).flatMap((entry) => results.get(entry) ?? []);
    return {
      id: subject.id,
      ok: cases.length > 0 && cases.every((result) => result.ok),
      cases,
      environment: environment as BootEnvironment,
    };
  });
}

/** One container: gives what is left to do. */
async function runMachine(
  cases: readonly JobCase[],
  way: Way,
  context: BootContext,
  hopeless: Set<BootSubject>,
  onResult: (entry: JobCase, result: CaseResult) => void,
): Promise<{ machine: Machine; left: JobCase[]; code: number | undefined }> {
  const { engine, labels } = context;
  const nonce = randomBytes(12).toString('hex');
  const stopper = new AbortController();
  const machine = new Machine({
    nonce,
    cases,
    hopeless,
    saved: way.start === 'saved',
    startMs: way.accelerator === 'kvm' ? KVM_START_MS : START_MS[way.start],
    onResult,
    stop: () => stopper.abort(),
  });
  context.signal?.throwIfAborted();
  const workspace = await Workspace.create(engine, labels);
  let code: number | undefined;
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
    await putFiles(container, '/cell', jobFiles(cases, nonce));
    const signal = context.signal ? AbortSignal.any([context.signal, stopper.signal]) : stopper.signal;
    const ended = await runContainer(container, {
      onOutput: (chunk) => machine.output(chunk),
      onInput: (input) => machine.start(input),
      timeoutMs: LONGEST_MS,
      signal,
    });
    code = ended.exitCode;
  } catch (error) {
    context.signal?.throwIfAborted();
    // Stopped by ourselves, because it hung: what was under way is judged as lost.
    if (!stopper.signal.aborted) throw error;
  } finally {
    await workspace.remove(context.warn);
  }
  return { machine, left: machine.over(), code };
}
