import { crcText, MODULE } from './module.ts';
import type { BootCase, CaseResult } from './types.ts';
import type { Watch } from './watch.ts';

/** How a case ended, as far as the machine tells. */
export interface Ending {
  timedOut: boolean;
  /** The hypervisor or dom0 is gone. */
  machineLost: boolean;
}

const CRASH = /Unhandled|crashed on cpu|domain_crash|general protection|Triple fault/i;
const REFUSED = /panic:|error:|failed|Invalid kernel|unable to/i;

/** Seconds with one digit. */
const seconds = (ms: number) => Math.round(ms / 100) / 10;

/** What happened, in words; the best explanation of all that was seen. */
function happened(watch: Watch, ending: Ending): string {
  const crash = watch.xen.find((line) => CRASH.test(line));
  if (ending.machineLost) return 'it took the hypervisor or dom0 down';
  if (watch.report) return 'the guest kernel started';
  if (watch.linux !== undefined) return 'Linux started';
  if (crash !== undefined) return `it crashed ${watch.menu === undefined ? 'before its menu' : 'after its menu'}: ${crash}`;
  const text = watch.console;
  const error = /^.*\b(Error \d+: .*|error: .*|xc: error: .*)$/m.exec(text)?.[0]?.trim();
  if (text.trim() === '') {
    const refusal = watch.xl.find((line) => REFUSED.test(line));
    if (refusal !== undefined) return `Xen cannot start it: ${refusal}`;
    return ending.timedOut ? 'it printed nothing' : 'it ended without a word';
  }
  if (watch.waits && error !== undefined) return `the loader stopped: ${error}`;
  if (watch.prompt && watch.menu === undefined) return `its prompt, and no menu${error === undefined ? '' : ` (${error})`}`;
  if (watch.prompt) return `its prompt after the menu${error === undefined ? '' : ` (${error})`}`;
  const what = watch.menu === undefined ? 'it printed something, but no menu came' : 'its menu came, but no kernel started';
  return error === undefined ? what : `${what}: ${error}`;
}

/** What is wrong with what the guest was given; empty for nothing. Checksums catch what a loader damages. */
function faults({ expect, disk, stress }: BootCase, watch: Watch): string[] {
  const { report, linux } = watch;
  // The loader and Linux may put words of their own around it.
  if (expect.outcome === 'linux' && linux !== undefined && !linux.includes(expect.commandLine))
    return [`its command line is "${linux}", without "${expect.commandLine}"`];
  if (!('commandLine' in expect) || !report) return [];
  const found: string[] = [];
  if (report.commandLine !== expect.commandLine && report.commandLine.trim() !== expect.commandLine)
    found.push(`its command line is "${report.commandLine}", not "${expect.commandLine}"`);
  const module = `${MODULE.length}:${crcText(MODULE)}`;
  const got = `${report.module.size}:${report.module.crc}`;
  if (got !== module) found.push(`its module is not what is on the disk (size:crc32 ${got}, not ${module})`);
  const large = Object.values(disk.files).some((file) => 'put' in file && file.put === 'large');
  if (large !== report.freight.size > 0 || (large && `${report.freight.size}:${report.freight.crc}` !== FREIGHT))
    found.push(`the kernel is not what is on the disk (freight ${report.freight.size}:${report.freight.crc})`);
  if (stress && watch.events === 0) found.push('no events were sent meanwhile');
  return found;
}

/** Size and CRC-32 of the large test kernel's freight (boot/guest/make.sh). */
export const FREIGHT = '12582912:356e792a';

/** The result of a case that was not gone through. */
export function untried({ name, what }: BootCase, why: string): CaseResult {
  return { name, what, ok: false, said: `not tried: ${why}`, diagnosis: [], console: '' };
}

/** Compare what was seen with what is expected. Pure. */
export function judge(watch: Watch, ending: Ending): CaseResult {
  const { bootCase } = watch;
  const { expect } = bootCase;
  const wrong = faults(bootCase, watch);
  const unread = watch.report === undefined && watch.menu === undefined && watch.prompt;
  const may = expect.outcome === 'may-boot';
  const booted = watch.report !== undefined && wrong.length === 0 && watch.menu !== undefined;
  const unable = (expect.outcome === 'prompt' && unread) || (may && (unread || (watch.report === undefined && watch.waits)));
  const linux = expect.outcome === 'linux' && watch.linux !== undefined && wrong.length === 0 && watch.menu !== undefined;
  const met = !ending.machineLost && (unable || ((expect.outcome === 'boots' || may) && booted) || linux);
  const what = happened(watch, ending);
  const said = [
    unable ? (may ? `this build cannot: ${what}` : 'not readable, as is known of this loader') : what,
    ...(watch.menu === undefined && watch.report ? ['no menu was seen'] : []),
    ...wrong,
    ...(met || !ending.timedOut ? [] : [`no more came within ${bootCase.limit} s`]),
  ]
    .join('; ')
    // A guest can have anything in its report.
    .replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return {
    name: bootCase.name,
    what: bootCase.what,
    ok: met,
    said,
    ...(watch.menu === undefined ? {} : { menu: seconds(watch.menu) }),
    ...(watch.guest === undefined ? {} : { guest: seconds(watch.guest) }),
    diagnosis: met ? [] : [...watch.xen, ...watch.xl],
    console: watch.console,
  };
}
