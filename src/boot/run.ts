import { EngineError } from '../errors.ts';
import { type JobCase, jobCases, jobFiles } from './job.ts';
import { untried } from './judge.ts';
import { judging, type Seen } from './judging.ts';
import { environmentOf, type MachineContext, NO_DISKS, runMachine } from './run-machine.ts';
import type { BootEnvironment, BootReport, BootSubject, CaseResult } from './types.ts';
import { type Way, waysFor } from './ways.ts';

/** What booting images needs of its surroundings. */
export interface BootContext extends MachineContext {
  accelerator: 'auto' | 'tcg' | 'kvm';
  onResult?: (id: string, result: CaseResult) => void;
}

/** Room on the job disk for guests' disks, in MiB: it is 8 GiB, and holds images, too. */
const DISKS = 6 * 1024;
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
  const seen: Seen = { hopeless: new Set(), alive: new Set() };
  const environments = new Map<BootSubject, BootEnvironment>();
  let pending = all;
  let stuck = 0;
  while (pending.length > 0) {
    const way = ways[0] as Way;
    const batch = fitting(pending);
    const rest = pending.slice(batch.length);
    const judge = judging(seen, (entry, result) => {
      results.set(entry, result);
      context.onResult?.(entry.subject.id, result);
    });
    const files = (nonce: string) => jobFiles(batch, nonce);
    const { machine, packages, left, code } = await runMachine({ cases: batch, files, ...judge }, way, context);
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
    const environment = environmentOf({ machine, packages }, way, context.image);
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
