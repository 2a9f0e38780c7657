import type { JobCase } from './job.ts';
import { judge, untried } from './judge.ts';
import type { MachineOptions } from './machine.ts';
import type { BootSubject, CaseResult } from './types.ts';
import { Watch } from './watch.ts';

/** What is known of images while their cases are gone through. */
export interface Seen {
  /** Images that never came as far as a menu or a prompt: their other cases are not tried. Added to. */
  hopeless: Set<BootSubject>;
  /** Images that did once. Added to. */
  alive: Set<BootSubject>;
}

/** How a machine's cases are watched and judged, where each has something that is expected of it. */
export function judging(
  { hopeless, alive }: Seen,
  onResult: (entry: JobCase, result: CaseResult) => void,
): Pick<MachineOptions<JobCase, Watch>, 'begun' | 'ended'> {
  return {
    begun: (entry, now) => {
      const { subject, bootCase } = entry;
      if (!hopeless.has(subject)) return new Watch(bootCase, now);
      onResult(entry, untried(bootCase, 'no menu came in an earlier case'));
      return undefined;
    },
    ended: (entry, watch, ending) => {
      if (watch.alive) alive.add(entry.subject);
      else if (!alive.has(entry.subject)) hopeless.add(entry.subject);
      onResult(entry, judge(watch, ending));
    },
  };
}
