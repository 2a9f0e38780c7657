import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gzipHeader, inspectImage } from '../../src/inspect/inspect.ts';
import { buildElf, note } from '../support/elf-builder.ts';
import { bzImage, guestSectionImage, notesImage, packed, pvhImage } from '../support/images.ts';

describe('what an image is', () => {
  test.each([
    ['PV-GRUB, packed', packed(notesImage()), 'pv-grub', 'x86_64', 'PV-GRUB, 64-bit x86_64'],
    ['PV-GRUB of 32 bits', notesImage({ bits: 32 }), 'pv-grub', 'x86_32', 'PV-GRUB, 32-bit x86'],
    [
      'PV-GRUB from before there were notes',
      guestSectionImage('GUEST_OS=Mini-OS,XEN_VER=xen-3.0'),
      'pv-grub',
      'x86_64',
      'PV-GRUB, 64-bit x86_64',
    ],
    ['another stub domain', notesImage({ banner: 'xenstored' }), 'mini-os', 'x86_64', 'a Mini-OS stub domain without GRUB, 64-bit x86_64'],
    ['GRUB 2', notesImage({ os: 'GRUB' }), 'pvgrub2', 'x86_64', "GRUB 2's Xen port, 64-bit x86_64"],
    ['GRUB 2 for PVH', pvhImage(), 'pvgrub2', 'x86_32_pvh', "GRUB 2's Xen port, 32-bit x86, PVH"],
    ['another PVH guest', pvhImage('something'), 'xen guest', 'x86_32_pvh', 'a Xen guest that is not a loader, 32-bit x86, PVH'],
    ['a Linux kernel with notes', notesImage({ os: 'linux' }), 'linux', 'x86_64', 'a Linux kernel, not a loader, 64-bit x86_64'],
    ['NetBSD', notesImage({ os: 'NetBSD' }), 'xen guest', 'x86_64', 'a Xen guest that is not a loader, 64-bit x86_64'],
    ['a program', buildElf({ bits: 64 }), 'elf', 'x86_64', 'an ELF file without anything of Xen, 64-bit x86_64'],
    [
      'a program for another machine',
      buildElf({ bits: 64, machine: 183 }),
      'elf',
      undefined,
      'an ELF file without anything of Xen, machine 183',
    ],
    ['a bzImage', bzImage(), 'linux', undefined, 'a Linux kernel (bzImage), not a loader'],
    ['a packed bzImage', packed(bzImage()), 'linux', undefined, 'a Linux kernel (bzImage), not a loader'],
    ['a text', Buffer.from('hello'), 'unknown', undefined, 'neither an ELF file nor a Linux kernel'],
    ['nothing', Buffer.alloc(0), 'unknown', undefined, 'an empty file'],
  ])('%s', (_name, bytes, kind, arch, summary) => {
    const found = inspectImage(bytes);
    expect([found.kind, found.arch, found.summary]).toEqual([kind, arch, summary]);
    expect(found.size).toBe(bytes.length);
  });

  test("Xen's notes are told by name, texts as text, numbers in hexadecimal", () => {
    const { xen, elf } = inspectImage(notesImage());
    expect(xen).toEqual({
      from: 'notes',
      info: { GUEST_OS: 'Mini-OS', XEN_VERSION: 'xen-3.0', LOADER: 'generic', ENTRY: '0x100000', HYPERCALL_PAGE: '0x101000' },
    });
    expect(elf).toMatchObject({ bits: 64, machine: 'x86_64', entry: '0x100000', loadSegments: 1, debugSections: false });
  });

  test('the section __xen_guest is told member by member', () => {
    expect(inspectImage(guestSectionImage('GUEST_OS=Mini-OS,VIRT_BASE=0x0,BSD_SYMTAB,')).xen).toEqual({
      from: '__xen_guest',
      info: { GUEST_OS: 'Mini-OS', VIRT_BASE: '0x0', BSD_SYMTAB: '' },
    });
  });

  test("notes of other owners are not taken for Xen's, unknown ones of Xen keep their number", () => {
    const data = Buffer.concat([note('GNU', 6, Buffer.from('GRUB\0')), note('Xen', 99, Buffer.from([1, 2, 3]))]);
    const image = buildElf({ bits: 64, sections: [{ name: '.note', type: 7, data }] });
    expect(inspectImage(image).xen?.info).toEqual({ NOTE_99: '010203' });
  });
});

describe('the gzip header', () => {
  test('is told with its time and name, and absent where there is none', () => {
    expect(gzipHeader(packed(Buffer.from('x')))).toEqual({ mtime: 0, name: undefined });
    expect(gzipHeader(packed(Buffer.from('x'), { mtime: 1_000_000_000, name: 'pv-grub-x86_64' }))).toEqual({
      mtime: 1_000_000_000,
      name: 'pv-grub-x86_64',
    });
    expect(gzipHeader(notesImage())).toBeUndefined();
    expect(inspectImage(notesImage()).gzip).toBeUndefined();
  });

  test('with an extra field before the name still gives the name', () => {
    const file = packed(Buffer.from('x'), { name: 'n' });
    file[3] = (file[3] ?? 0) | 4;
    const extra = Buffer.concat([file.subarray(0, 10), Buffer.from([3, 0, 65, 66, 67]), file.subarray(10)]);
    expect(gzipHeader(extra)).toEqual({ mtime: 0, name: 'n' });
  });

  test('of a damaged file does not hide the damage', () => {
    const file = packed(notesImage());
    expect(inspectImage(file.subarray(0, file.length / 2))).toMatchObject({
      kind: 'unknown',
      summary: expect.stringContaining('damaged gzip file'),
    });
    file[file.length - 6] = (file[file.length - 6] ?? 0) ^ 1;
    expect(inspectImage(file).kind).toBe('unknown');
  });

  test('of a file that unpacks to hundreds of megabytes is refused', () => {
    const bomb = packed(Buffer.alloc(257 * 2 ** 20));
    expect(inspectImage(bomb)).toMatchObject({ kind: 'unknown', summary: expect.stringContaining('damaged gzip') });
  });
});

describe('whatever the bytes, looking at them never throws', () => {
  const image = notesImage({ size: 50 });

  test('any bytes, bare and packed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        inspectImage(bytes);
        inspectImage(Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), bytes]));
        inspectImage(Buffer.concat([Buffer.from('\x7fELF'), bytes]));
        expect(inspectImage(packed(bytes)).size).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  test('an image cut at any byte', () => {
    for (let size = 0; size <= image.length; size++) expect(inspectImage(image.subarray(0, size)).size).toBe(size);
  });

  test('an image with any bytes of its headers and tables changed', () => {
    const change = fc.record({ at: fc.nat({ max: image.length - 1 }), byte: fc.constantFrom(0, 1, 0x7f, 0x80, 0xf0, 0xff) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const broken = Buffer.from(image);
        for (const { at, byte } of changes) broken[at] = byte;
        expect(inspectImage(broken).size).toBe(image.length);
        inspectImage(packed(broken));
      }),
      { numRuns: 2000 },
    );
  });
});
