import type { Elf, Note } from './elf.ts';
import { sectionBytes } from './elf.ts';

/** What Xen reads of a kernel image: ELF notes (xen/include/public/elfnote.h) or, older, the section `__xen_guest`. */
export type XenInfo = Record<string, string>;

const NAMES: Record<number, string> = {
  0: 'INFO',
  1: 'ENTRY',
  2: 'HYPERCALL_PAGE',
  3: 'VIRT_BASE',
  4: 'PADDR_OFFSET',
  5: 'XEN_VERSION',
  6: 'GUEST_OS',
  7: 'GUEST_VERSION',
  8: 'LOADER',
  9: 'PAE_MODE',
  10: 'FEATURES',
  11: 'BSD_SYMTAB',
  12: 'HV_START_LOW',
  13: 'L1_MFN_VALID',
  14: 'SUSPEND_CANCEL',
  15: 'INIT_P2M',
  16: 'MOD_START_PFN',
  17: 'SUPPORTED_FEATURES',
  18: 'PHYS32_ENTRY',
  19: 'PHYS32_RELOC',
};

const TEXTS = new Set(['XEN_VERSION', 'GUEST_OS', 'GUEST_VERSION', 'LOADER', 'PAE_MODE', 'FEATURES', 'BSD_SYMTAB']);

/** Xen's notes by their names; numbers as hexadecimal. */
export function xenNotes(notes: readonly Note[]): XenInfo {
  const info: XenInfo = {};
  for (const { name, type, desc } of notes) {
    if (name !== 'Xen') continue;
    const key = NAMES[type] ?? `NOTE_${type}`;
    const bytes = Buffer.from(desc);
    if (TEXTS.has(key)) info[key] = bytes.toString('latin1').replace(/\0.*$/s, '');
    else if (bytes.length === 4) info[key] = `0x${bytes.readUInt32LE().toString(16)}`;
    else if (bytes.length === 8) info[key] = `0x${bytes.readBigUInt64LE().toString(16)}`;
    else info[key] = bytes.toString('hex');
  }
  return info;
}

/** The members of a `__xen_guest` section, such as "GUEST_OS=Mini-OS,XEN_VER=xen-3.0,LOADER=generic". */
export function xenGuestSection(bytes: Uint8Array, elf: Elf): XenInfo | undefined {
  const section = elf.sections.find((entry) => entry.name === '__xen_guest');
  if (!section) return undefined;
  const text = Buffer.from(sectionBytes(bytes, section)).toString('latin1').replace(/\0.*$/s, '');
  return Object.fromEntries(
    text
      .split(',')
      .filter(Boolean)
      .map((member) => {
        const at = member.indexOf('=');
        return at < 0 ? [member, ''] : [member.slice(0, at), member.slice(at + 1)];
      }),
  );
}
