import { formatBytes } from '../config/units.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

/** Whether there is as much as a plan needs. Pure. */

/** What cells need where nothing is known from earlier runs, in bytes; measured on pv-grub 4.0 to 4.22 and pvgrub2. */
export const USUAL_NEEDS = {
  /** An image with its log, debug file and metadata. */
  result: 4e6,
  /** A source. */
  source: 15e6,
  /** A cell's volume while it is built. */
  volume: 1e9,
  /** The build and the boot image, and their base. */
  images: 3e9,
} as const;

/** Room on a disk: an error where there is less than is needed, a warning where there is less than twice that. */
export function roomFinding(name: string, free: number | undefined, need: number, what: string): Finding {
  if (free === undefined)
    return warning(name, 'how much room there is cannot be seen', `see that there are ${formatBytes(need)} (${what})`);
  const said = `${formatBytes(free)} free, about ${formatBytes(need)} needed: ${what}`;
  if (free < need) return failure(name, said, 'make room there, or name another place; pvgrub clean shows what can be freed');
  return free < 2 * need ? warning(name, said, 'it will be tight; pvgrub clean shows what can be freed') : ok(name, said);
}

/** How far clocks may be apart before certificates, signatures of mirrors and expiries are judged wrong. */
const CLOCK_MS = 5 * 60_000;

/** This machine's clock against what servers said with their answers. */
export function clockFinding(now: number, told: readonly number[]): Finding {
  const name = 'clock';
  const [first] = told;
  if (first === undefined) return ok(name, `${new Date(now).toISOString().slice(0, 19)}Z; nobody to compare with`);
  // The one that agrees most: a single wrong server proves nothing.
  const off = told.map((time) => now - time).reduce((best, one) => (Math.abs(one) < Math.abs(best) ? one : best));
  if (Math.abs(off) < CLOCK_MS) return ok(name, `within ${Math.ceil(Math.abs(off) / 1000)} s of what servers say`);
  return failure(
    name,
    `${Math.round(Math.abs(off) / 60_000)} minutes ${off > 0 ? 'ahead of' : 'behind'} what servers say`,
    'set it: signatures and expiries are judged by it',
  );
}

/** Memory of an engine for cells side by side. */
export function memoryFinding(name: string, memory: number, side: number, each: number): Finding {
  const said = `${formatBytes(memory)} for ${side} ${side === 1 ? 'cell' : 'cells'} side by side`;
  if (memory / side >= each) return ok(name, said);
  return warning(
    name,
    `${said}: less than ${formatBytes(each)} for each, so they are built on disk, which is slower`,
    'fewer cells side by side: concurrency.cells, or --jobs',
  );
}
