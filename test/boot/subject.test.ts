import { describe, expect, test } from 'vitest';
import { cellSubject, fileSubject } from '../../src/boot/subject.ts';
import { bzImage, notesImage, pvhImage } from '../support/images.ts';
import { thrownBy } from '../support/temp-folder.ts';

const names = (subject: { cases: { name: string }[] }) => subject.cases.map(({ name }) => name);
const cell = { id: 'pv-grub-4.17.5-x86_64', loader: 'pv-grub', version: '4.17.5', arch: 'x86_64' } as const;
const tiny = { linux: false };

describe('the cases that an image is booted with', () => {
  test('are all usual ones, also Linux where asked for, stress only by name', () => {
    const usual = ['disk', 'partition', 'ext4', 'ext4-32bit', 'btrfs'];
    expect(names(cellSubject(cell, notesImage(), tiny))).toEqual(usual);
    expect(names(cellSubject(cell, notesImage(), { linux: true }))).toEqual([...usual, 'linux']);
    expect(names(cellSubject(cell, notesImage(), { linux: false, only: ['stress', 'linux'] }))).toEqual(['linux', 'stress']);
  });

  test('are gone through as often as asked for', () => {
    expect(names(cellSubject(cell, notesImage(), { ...tiny, only: ['stress'], repeat: 3 }))).toEqual(['stress', 'stress', 'stress']);
  });

  test('a name that there is no case of is told, with those that there are', async () => {
    const error = await thrownBy(() => cellSubject(cell, notesImage(), { ...tiny, only: ['pvboot'] }));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', expected: expect.stringContaining('ext4-32bit, btrfs, linux, stress') });
  });

  test('fit what a file is', () => {
    expect(fileSubject('pv-grub-x86_32.gz', notesImage({ bits: 32 }), tiny)).toMatchObject({ arch: 'x86_32' });
    expect(names(fileSubject('grub.bin', notesImage({ os: 'GRUB', banner: 'GNU GRUB' }), tiny))).toContain('pvboot');
    expect(names(fileSubject('grub-i386-xen_pvh.bin', pvhImage(), tiny))).not.toContain('pvboot');
    expect(names(fileSubject('unikernel', notesImage({ os: 'other', banner: 'Hello' }), tiny))).toEqual(['disk']);
  });
});

describe('a file that cannot be booted', () => {
  test('because it is of another width than its name says', async () => {
    const error = await thrownBy(() => fileSubject('pv-grub-x86_32.gz', notesImage({ bits: 64 }), tiny));
    expect(error).toMatchObject({ code: 'BOOT_FAILED', message: expect.stringMatching(/made for x86_64, but its name says x86_32/) });
  });

  test.each([
    ['cut off', notesImage().subarray(0, 1000)],
    ['empty', Buffer.alloc(0)],
    ['no image at all', Buffer.from('#!/bin/sh\n')],
    ["another system's kernel", bzImage()],
  ])('because it is %s', async (_, image) => {
    expect(await thrownBy(() => fileSubject('pv-grub-x86_64.gz', image, tiny))).toMatchObject({
      code: expect.stringMatching(/^(BOOT_FAILED|IMAGE_\w+)$/),
      message: expect.stringContaining('pv-grub-x86_64.gz'),
    });
  });
});
