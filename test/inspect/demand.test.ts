import { describe, expect, test } from 'vitest';
import { OutputError } from '../../src/errors.ts';
import { demandImage, inspectImage } from '../../src/inspect/inspect.ts';
import type { Arch, Loader } from '../../src/recipes/types.ts';
import { bzImage, guestSectionImage, notesImage, packed, pvhImage } from '../support/images.ts';
import { thrownBy } from '../support/temp-folder.ts';

const demand = (bytes: Uint8Array, loader: Loader, arch: Arch) =>
  demandImage(inspectImage(bytes), { loader, arch, id: `${loader}-1-${arch}` });

describe('an image that is what its cell promises passes', () => {
  test.each([
    ['pv-grub', 'x86_64', packed(notesImage())],
    ['pv-grub', 'x86_32', packed(notesImage({ bits: 32 }))],
    ['pv-grub', 'x86_32', packed(guestSectionImage('GUEST_OS=Mini-OS,LOADER=generic', 32))],
    ['pvgrub2', 'x86_64', notesImage({ os: 'GRUB' })],
    ['pvgrub2', 'x86_32', notesImage({ os: 'GRUB', bits: 32 })],
    ['pvgrub2', 'x86_32_pvh', pvhImage()],
  ] as const)('%s %s', (loader, arch, bytes) => {
    expect(() => demand(bytes, loader, arch)).not.toThrow();
  });
});

describe('an image that is something else is refused', () => {
  test.each([
    ['the other width', packed(notesImage({ bits: 32 })), 'pv-grub', 'x86_64', 'it is made for x86_32, not for x86_64'],
    ['PV where PVH is wanted', notesImage({ os: 'GRUB', bits: 32 }), 'pvgrub2', 'x86_32_pvh', 'it is made for x86_32, not for x86_32_pvh'],
    ['PVH where PV is wanted', pvhImage(), 'pvgrub2', 'x86_32', 'it is made for x86_32_pvh, not for x86_32'],
    ['the other loader', notesImage({ os: 'GRUB' }), 'pv-grub', 'x86_64', "it is GRUB 2's Xen port"],
    ['a plain Linux kernel under its name', packed(bzImage()), 'pv-grub', 'x86_64', 'it is a Linux kernel (bzImage), not a loader'],
    ['a Linux kernel for Xen under its name', notesImage({ os: 'linux' }), 'pvgrub2', 'x86_64', 'it is a Linux kernel, not a loader'],
    ['a stub domain without GRUB', packed(notesImage({ banner: 'none' })), 'pv-grub', 'x86_64', 'it is a Mini-OS stub domain without GRUB'],
    ['no ELF file', packed(Buffer.alloc(200_000, 'x')), 'pv-grub', 'x86_64', 'neither an ELF file'],
    ['nothing to load', packed(notesImage({ segments: false })), 'pv-grub', 'x86_64', 'it has nothing to load'],
    ['debug information', packed(notesImage({ debug: true })), 'pv-grub', 'x86_64', 'it carries debug information'],
    [
      'a loader that Xen does not know',
      packed(notesImage({ loader: 'special' })),
      'pv-grub',
      'x86_64',
      'its LOADER is special, not generic',
    ],
    ['no compression', notesImage(), 'pv-grub', 'x86_64', 'it is not compressed with gzip'],
    ['a time in the gzip header', packed(notesImage(), { mtime: 1 }), 'pv-grub', 'x86_64', 'its gzip header carries a time or a name'],
    ['a name in the gzip header', packed(notesImage(), { name: 'x' }), 'pv-grub', 'x86_64', 'its gzip header carries a time or a name'],
    ['a size that is too small', packed(notesImage({ size: 1000 })), 'pv-grub', 'x86_64', 'bytes is not that of a loader'],
    ['a size that is too large', notesImage({ os: 'GRUB', size: 8_000_001 }), 'pvgrub2', 'x86_64', 'bytes is not that of a loader'],
  ] as const)('%s', async (_what, bytes, loader, arch, fault) => {
    const error = (await thrownBy(() => demand(bytes, loader, arch))) as OutputError;
    expect(error).toBeInstanceOf(OutputError);
    expect(error).toMatchObject({ code: 'INSPECT_FAILED', exit: 5, expected: `${loader} for ${arch}` });
    expect(error.message).toContain(fault);
  });

  test('with every fault named at once', async () => {
    const bytes = packed(notesImage({ bits: 32, debug: true }), { mtime: 5 });
    const { message } = (await thrownBy(() => demand(bytes, 'pv-grub', 'x86_64'))) as OutputError;
    expect(message.split(': ')[1]?.split('; ')).toEqual([
      'it is made for x86_32, not for x86_64',
      'it carries debug information',
      'its gzip header carries a time or a name',
    ]);
  });
});
