import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { elfNotes, NotElf, parseElf, parseNotes, sectionBytes } from '../../src/inspect/elf.ts';
import { buildElf, note } from '../support/elf-builder.ts';

const text = { name: '.text', type: 1, data: Buffer.from('code') };
const notes = {
  name: '.note.Xen',
  type: 7,
  data: Buffer.concat([note('Xen', 6, Buffer.from('Mini-OS\0')), note('GNU', 3, Buffer.from('abcde'))]),
};
const read = (found: { name: string; type: number; desc: Uint8Array }[]) =>
  found.map(({ name, type, desc }) => [name, type, Buffer.from(desc).toString()]);
const bothNotes = [
  ['Xen', 6, 'Mini-OS\0'],
  ['GNU', 3, 'abcde'],
];

describe.each([32, 64] as const)('an ELF file of %i bits', (bits) => {
  const file = buildElf({
    bits,
    entry: 0x10_0000,
    sections: [text, notes],
    segments: [
      { type: 1, section: '.text', vaddr: 0x10_0000 },
      { type: 4, section: '.note.Xen' },
    ],
  });

  test('is read with its header, segments and sections', () => {
    const elf = parseElf(file);
    expect(elf).toMatchObject({ bits, machine: bits === 64 ? 'x86_64' : 'x86', type: 2, entry: 0x10_0000 });
    expect(elf.segments.map(({ type, vaddr, fileSize, memSize }) => [type, vaddr, fileSize, memSize])).toEqual([
      [1, 0x10_0000, 4, 4],
      [4, 0, notes.data.length, notes.data.length],
    ]);
    expect(elf.sections.map((section) => section.name)).toEqual(['', '.text', '.note.Xen', '.shstrtab']);
    expect(elf.sections.map((section) => Buffer.from(sectionBytes(file, section)).toString())[1]).toBe('code');
  });

  test('gives its notes, each once, from its sections', () => {
    expect(read(elfNotes(file, parseElf(file)))).toEqual(bothNotes);
  });

  test('without a section table gives its notes from its segments', () => {
    const stripped = buildElf({ bits, sections: [notes], segments: [{ type: 4, section: '.note.Xen' }], noSectionTable: true });
    expect(parseElf(stripped).sections).toEqual([]);
    expect(read(elfNotes(stripped, parseElf(stripped)))).toEqual(bothNotes);
  });

  test('cut anywhere is either read or refused as damaged', () => {
    for (let size = 0; size < file.length; size++) {
      try {
        const cut = file.subarray(0, size);
        elfNotes(cut, parseElf(cut));
      } catch (error) {
        expect(error).toBeInstanceOf(NotElf);
      }
    }
  });
});

test('a machine that is not ours is told by its number', () => {
  expect(parseElf(buildElf({ bits: 64, machine: 183 })).machine).toBe('machine 183');
});

test('a section without bytes in the file has none, however large it says it is', () => {
  const bss = { name: '.bss', type: 8, addr: 0, offset: 0, size: 1e9, link: 0 };
  expect(sectionBytes(new Uint8Array(10), bss)).toHaveLength(0);
});

test('a section that reaches out of the file is refused by name', () => {
  expect(() => sectionBytes(new Uint8Array(10), { name: '.text', type: 1, addr: 0, offset: 8, size: 3, link: 0 })).toThrow('.text');
});

test.each([
  ['no magic', Buffer.from('#!/bin/sh\n')],
  ['nothing', Buffer.alloc(0)],
  ['only the magic', Buffer.from('\x7fELF')],
  ['an unknown class', Buffer.from('\x7fELF\x03\x01\x01'.padEnd(64, '\0'), 'latin1')],
  ['big-endian numbers', Buffer.from('\x7fELF\x02\x02\x01'.padEnd(64, '\0'), 'latin1')],
])('a file with %s is no ELF file', (_what, bytes) => {
  expect(() => parseElf(bytes)).toThrow(NotElf);
});

describe('notes', () => {
  test('are read back as they were written, whatever they hold', () => {
    const one = fc.record({ name: fc.stringMatching(/^[A-Za-z]{0,9}$/), type: fc.nat(), desc: fc.uint8Array({ maxLength: 20 }) });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 5 }), (written) => {
        const area = Buffer.concat(written.map(({ name, type, desc }) => note(name, type, desc)));
        expect(parseNotes(area).map(({ name, type, desc }) => ({ name, type, desc: Buffer.from(desc) }))).toEqual(
          written.map(({ name, type, desc }) => ({ name, type, desc: Buffer.from(desc) })),
        );
      }),
    );
  });

  test('before a damaged rest are kept', () => {
    const whole = note('Xen', 6, Buffer.from('Mini-OS\0'));
    expect(read(parseNotes(Buffer.concat([whole, whole.subarray(0, 18)])))).toEqual([['Xen', 6, 'Mini-OS\0']]);
  });

  test('with sizes near 2^32 are damaged, not wrapped around', () => {
    const area = Buffer.alloc(64);
    area.writeUInt32LE(0xffff_fff0, 0);
    area.writeUInt32LE(8, 4);
    expect(parseNotes(area)).toEqual([]);
  });

  test('of any bytes lie within them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (area) => {
        for (const { desc } of parseNotes(area)) {
          expect(desc.byteOffset).toBeGreaterThanOrEqual(area.byteOffset);
          expect(desc.byteOffset + desc.length).toBeLessThanOrEqual(area.byteOffset + area.length);
        }
      }),
    );
  });
});
