import type { BootReport, CaseResult } from './types.ts';

/** Boot results as text and as metadata. Pure. */

/** A boot result as an image's metadata has it: everything but the consoles, which are in `boot.log`. */
export interface BootMetadata {
  ok: boolean;
  hypervisor: string;
  qemu: string;
  dom0: string;
  accelerator: string;
  start: string;
  /** SHA-256 over what the boot image is made of. */
  bootImage: string;
  log: string;
  cases: { name: string; what: string; ok: boolean; said: string; menuSeconds?: number; guestSeconds?: number }[];
}

/** Name of the file that has the consoles. */
export const BOOT_LOG = 'boot.log';

/** What goes into an image's metadata. */
export function bootMetadata({ ok, cases, environment }: BootReport): BootMetadata {
  return {
    ok,
    ...environment,
    log: BOOT_LOG,
    cases: cases.map(({ name, what, ok, said, menu, guest }) => ({
      name,
      what,
      ok,
      said,
      ...(menu === undefined ? {} : { menuSeconds: menu }),
      ...(guest === undefined ? {} : { guestSeconds: guest }),
    })),
  };
}

/** "menu after 3.4 s, kernel after 4.1 s"; empty where neither came. */
export function timesText({ menu, guest }: { menu?: number | undefined; guest?: number | undefined }): string {
  const parts = [...(menu === undefined ? [] : [`menu after ${menu} s`]), ...(guest === undefined ? [] : [`kernel after ${guest} s`])];
  return parts.join(', ');
}

const mark = (result: CaseResult) => (result.ok ? 'ok' : 'FAILED');

/** The consoles of all cases, for a log file. */
export function bootLog(report: BootReport): string {
  const { hypervisor, qemu, dom0, accelerator, start } = report.environment;
  const parts = [`${report.id}\n${hypervisor}, QEMU ${qemu} (${accelerator}, ${start}), dom0 ${dom0}\n`];
  for (const result of report.cases) {
    parts.push(`=== ${result.name}: ${result.what}\n=== ${mark(result)}: ${result.said}\n${result.console.trim()}\n`);
    if (result.diagnosis.length > 0) parts.push(`--- Xen and xl\n${result.diagnosis.join('\n')}\n`);
  }
  return parts.join('\n');
}

/** What went wrong, for an error: each failed case with the end of its console and what Xen said. */
export function bootFaults(report: BootReport): string {
  return report.cases
    .filter((result) => !result.ok)
    .map((result) => {
      const console = result.console.trim().split('\n').filter(Boolean).slice(-8);
      const xen = result.diagnosis.filter((line) => !/^(Parsing config|Killed)/.test(line)).slice(0, 8);
      return [`${result.name} (${result.what}): ${result.said}`, ...[...console, ...xen].map((line) => `  | ${line}`)].join('\n');
    })
    .join('\n');
}
