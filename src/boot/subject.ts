import { OutputError, UsageError } from '../errors.ts';
import { type Inspection, inspectImage } from '../inspect/inspect.ts';
import type { Arch, Loader } from '../recipes/types.ts';
import { casesFor, type ImageKind, linuxCase, stressCase } from './cases.ts';
import type { BootCase, BootSubject } from './types.ts';

/** Which cases to boot an image with. */
export interface CaseChoice {
  /** A real Linux is booted, too. */
  linux: boolean;
  /** Names of cases, `linux` and `stress` among them; the usual ones if undefined. */
  only?: readonly string[] | undefined;
  /** How often each case is gone through; once if undefined. */
  repeat?: number | undefined;
}

/** The width that a file's name promises, if it does. */
function archOfName(name: string): Arch | undefined {
  if (/x86_32_pvh|i386-xen_pvh/.test(name)) return 'x86_32_pvh';
  if (/x86_64/.test(name)) return 'x86_64';
  return /x86_32|i386/.test(name) ? 'x86_32' : undefined;
}

/** Whether an image that inspection has looked at can be tried at all; the reason where it cannot. */
function reasonAgainst(inspection: Inspection, name: string): string | undefined {
  if (inspection.kind === 'unknown' || inspection.kind === 'elf' || inspection.arch === undefined) return inspection.summary;
  const promised = archOfName(name);
  if (promised !== undefined && promised !== inspection.arch) return `it is made for ${inspection.arch}, but its name says ${promised}`;
  return undefined;
}

/** @throws UsageError OPTION_INVALID where a case is named that there is none of for such an image */
function chosen(id: string, kind: ImageKind, { only, linux, repeat = 1 }: CaseChoice): BootCase[] {
  const usual = casesFor(kind);
  const real = linuxCase(kind) ?? [];
  const all = [usual, real, stressCase(kind)].flat();
  const unknown = only?.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined)
    throw new UsageError('OPTION_INVALID', `${id} has no case "${unknown}"`, { expected: all.map(({ name }) => name).join(', ') });
  const cases = only ? all.filter(({ name }) => only.includes(name)) : [usual, linux ? real : []].flat();
  return Array.from({ length: repeat }, () => cases).flat();
}

/**
 * A cell's image with its cases: each must do what is expected of this loader and version.
 * @param linux also a real Linux, where Debian has one of this width
 */
export function cellSubject(
  cell: { id: string; loader: Loader; version: string; arch: Arch },
  image: Uint8Array,
  choice: CaseChoice,
): BootSubject {
  return { id: cell.id, image, arch: cell.arch, cases: chosen(cell.id, cell, choice) };
}

/**
 * A file's image with the cases that fit what it is. One that is no loader, but something that Xen might start, gets
 * the case that shows what it does.
 * @throws OutputError BOOT_FAILED where it cannot be tried: damaged, or of another width than its name says
 */
export function fileSubject(name: string, image: Uint8Array, choice: CaseChoice): BootSubject {
  const inspection = inspectImage(image);
  const reason = reasonAgainst(inspection, name);
  if (reason !== undefined || inspection.arch === undefined) {
    throw new OutputError('BOOT_FAILED', `${name} cannot be booted: ${reason ?? inspection.summary}`, {
      expected: "a PV boot loader, or another kernel that Xen starts: an ELF file with Xen's notes",
      got: inspection.summary,
      hint: 'pvgrub inspect tells more',
    });
  }
  const loader = inspection.kind === 'pv-grub' || inspection.kind === 'pvgrub2' ? inspection.kind : undefined;
  return { id: name, image, arch: inspection.arch, cases: chosen(name, { loader, arch: inspection.arch }, choice) };
}
