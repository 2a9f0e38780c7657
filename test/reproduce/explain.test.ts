import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explainDifference } from '../../src/reproduce/explain.ts';
import { buildElf, noise } from '../support/elf-builder.ts';
import { notesImage, packed } from '../support/images.ts';
import { makeTar } from '../support/tar-maker.ts';

const elf = (text: Buffer, more: { name: string; data: Buffer }[] = []) =>
  buildElf({
    bits: 64,
    sections: [{ name: '.text', type: 1, data: text }, ...more.map((section) => ({ type: 1, ...section }))],
    segments: [{ type: 1, section: '.text', vaddr: 0x10_0000 }],
  });
const told = (one: Uint8Array, other: Uint8Array) => explainDifference(one, other).map(({ where, what }) => `${where}: ${what}`);
const changed = (bytes: Buffer, at: number) => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return copy;
};

test('the same bytes have no difference', () => {
  expect(told(notesImage(), notesImage())).toEqual([]);
});

describe('a compressed image', () => {
  const image = notesImage({ size: 3000 });
  test('of which only the header differs: its time, its name', () => {
    expect(told(packed(image), packed(image, { mtime: 7 }))).toEqual(['gzip header: time 0 and 7']);
    expect(told(packed(image), packed(image, { name: 'mini-os' }))).toEqual(['gzip header: name undefined and mini-os']);
  });

  test('that holds another image: the header is told, too', () => {
    const findings = told(packed(image), packed(notesImage({ size: 3000, os: 'Other' }), { mtime: 7 }));
    expect(findings[0]).toBe('gzip header: time 0 and 7');
    expect(findings.slice(1).join('\n')).toContain('.note.Xen: ');
  });

  test('beside one that is not compressed', () => {
    expect(told(packed(image), image)).toContain('gzip header: only one of them is compressed');
  });

  test('that is cut off is told by its bytes', () => {
    expect(told(packed(image), packed(image).subarray(0, 100)).length).toBeGreaterThan(0);
  });
});

describe('an ELF file', () => {
  test('with another path or date inside: both are shown, by section', () => {
    const path = (place: string) => Buffer.concat([noise(200), Buffer.from(`\0/${place}/src/stubdom/grub/main.c\0`)]);
    expect(told(elf(path('cell')), elf(path('home')))[0]).toBe(
      '.text: a path: "/cell/src/stubdom/grub/main.c" and "/home/src/stubdom/grub/main.c"',
    );
    const day = (date: string) => elf(noise(64), [{ name: '.rodata', data: Buffer.from(`built ${date} 12:00:00\0`) }]);
    expect(told(day('Nov 25 2026'), day('Dec 30 2027'))[0]).toBe(
      '.rodata: a date or time: "built Nov 25 2026 12:00:00" and "built Dec 30 2027 12:00:00"',
    );
  });

  test('with other bytes: how many, and where the first is', () => {
    const text = noise(400);
    expect(told(elf(text), elf(changed(text, 0x30)))).toEqual(['.text: 1 of 400 bytes differ, first at 0x30']);
  });

  test('with another entry, other sections, another width', () => {
    const text = noise(40);
    expect(told(elf(text), elf(text, [{ name: '.comment', data: Buffer.from('GCC') }]))).toContain(
      'ELF sections: only the second has .comment',
    );
    const entry = (at: number) => buildElf({ bits: 64, entry: at, sections: [{ name: '.text', type: 1, data: text }] });
    expect(told(entry(0x1000), entry(0x2000))).toContain('ELF header: entry 4096 and 8192');
    expect(told(notesImage({ bits: 64 }), notesImage({ bits: 32 }))[0]).toMatch(/^ELF header: width 64 and 32/);
  });
});

describe('an archive inside', () => {
  const tar = async (mtime: number, names = ['boot/grub/grub.cfg', 'boot/menu']) =>
    elf(noise(40), [{ name: '.data', data: await makeTar(names.map((name) => ({ name, content: 'x', mtime: new Date(mtime * 1000) }))) }]);
  test('whose members have other times is told by member', async () => {
    expect(told(await tar(5), await tar(6))).toContain('tar member boot/grub/grub.cfg: mtime 5 and 6');
  });
  test('whose members are in another order is told so', async () => {
    expect(told(await tar(5), await tar(5, ['boot/menu', 'boot/grub/grub.cfg']))).toContain('archive: the same members in another order');
  });
});

describe('what files call things', () => {
  test('is printed as plain text, and not at length', () => {
    const image = notesImage({ size: 3000 });
    const [finding] = explainDifference(packed(image, { name: '\x1b]0;owned\x07' }), packed(image, { name: 'n'.repeat(5000) }));
    expect(finding?.what).toMatch(/^gzip|^name \?\]0;owned\? and nnn/);
    expect(finding?.what.length).toBeLessThan(500);
  });

  test('does not mix up members of the same name', async () => {
    const bytes = await makeTar([5, 6].map((time) => ({ name: 'x.o', content: '', mtime: new Date(time * 1000) })));
    const told = explainDifference(Buffer.concat([bytes, Buffer.from([1])]), Buffer.concat([bytes, Buffer.from([2])]));
    expect(told.map(({ where }) => where)).toEqual(['content']);
  });
});

test('thousands of sections, members or magic words are got through', async () => {
  const many = buildElf({
    bits: 64,
    sections: Array.from({ length: 3000 }, (_, i) => ({ name: `.s${i}`, type: 1, data: Buffer.from([i]) })),
  });
  const nested = Buffer.from('!<arch>\n'.repeat(200_000));
  for (const bytes of [many, nested, Buffer.from('ustar'.repeat(400_000))]) {
    const other = Buffer.from(bytes);
    other[bytes.length - 1] = 0xff;
    expect(explainDifference(bytes, other).length).toBeGreaterThan(0);
  }
});

test('whatever the bytes are: something is told exactly where they differ, in little space', async () => {
  const images = [notesImage({ size: 500 }), packed(notesImage({ size: 500 })), await makeTar([{ name: 'a', content: 'b' }])];
  fc.assert(
    fc.property(
      fc.constantFrom(...images),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 30 }),
      fc.option(fc.nat()),
      (image, changes, end) => {
        const other = Buffer.from(image);
        for (const [at, value] of changes) other[at % other.length] = value;
        const cut = end === null ? other : other.subarray(0, end % (other.length + 1));
        const findings = explainDifference(image, cut);
        expect(findings.length > 0).toBe(Buffer.compare(image, cut) !== 0);
        expect(findings.length).toBeLessThan(40);
        for (const { what } of findings) expect(what.length).toBeLessThan(1000);
      },
    ),
    { numRuns: 300 },
  );
});
