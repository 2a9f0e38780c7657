import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { elfNotes, isElf, parseElf } from '../../src/inspect/elf.ts';
import { buildElf, note, xenNote } from '../support/elf-builder.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** What binutils' readelf prints about a file; undefined where this machine has no readelf. */
function readelf(...args: string[]): string | undefined {
  try {
    return execFileSync('readelf', args, {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return undefined;
  }
}

/** Compare what we read of a file with what readelf reads of it. */
function compare(path: string): void {
  const elf = parseElf(readFileSync(path));
  const header = readelf('-hW', path) ?? '';
  const field = (name: string) => new RegExp(`^\\s*${name}:\\s*(.*)$`, 'm').exec(header)?.[1];
  expect(field('Class')).toBe(`ELF${elf.bits}`);
  expect(Number(field('Entry point address'))).toBe(elf.entry);
  expect(Number(field('Number of program headers')?.split(' ')[0])).toBe(elf.segments.length);
  expect(Number(field('Number of section headers')?.split(' ')[0])).toBe(elf.sections.length);
  const rows = [...(readelf('-SW', path) ?? '').matchAll(/^\s*\[ *\d+\] (\S*)\s+[A-Z_]+\s+[0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+) /gm)];
  const sections = rows.map(([, name, offset, size]) => [name, Number.parseInt(offset ?? '', 16), Number.parseInt(size ?? '', 16)]);
  expect(elf.sections.slice(1).map(({ name, offset, size }) => [name, offset, size])).toEqual(sections.slice(-elf.sections.length + 1));
  expect(sections.length).toBeGreaterThan(0);
  const loads = [
    ...(readelf('-lW', path) ?? '').matchAll(/^\s*LOAD\s+0x([0-9a-f]+) 0x([0-9a-f]+) 0x[0-9a-f]+ 0x([0-9a-f]+) 0x([0-9a-f]+)/gm),
  ];
  const hex = (numbers: (string | undefined)[]) => numbers.map((number) => Number.parseInt(number ?? '', 16));
  const own = elf.segments.filter((segment) => segment.type === 1);
  expect(own.map(({ offset, vaddr, fileSize, memSize }) => [offset, vaddr, fileSize, memSize])).toEqual(
    loads.map(([, ...numbers]) => hex(numbers)),
  );
  const owners = [...(readelf('-nW', path) ?? '').matchAll(/^ {2}(\S+)\s+0x([0-9a-f]{8})\s/gm)];
  expect(elfNotes(readFileSync(path), elf).map(({ name, desc }) => [name, desc.length])).toEqual(
    owners.map(([, name, size]) => [name, Number.parseInt(size ?? '', 16)]),
  );
}

// Only binutils can judge here; without it there is nothing to compare with.
describe.skipIf(readelf('--version') === undefined)('readelf sees the same as we do', () => {
  const host = ['/bin/sh', '/usr/bin/env'].filter((path) => {
    try {
      const bytes = readFileSync(path);
      return isElf(bytes) && bytes[5] === 1;
    } catch {
      return false;
    }
  });

  test.each(host)('in %s', (path) => {
    compare(path);
  });

  test.each([32, 64] as const)('in an image of %i bits that the tests make', (bits) => {
    const path = join(tempFolder(), 'image');
    const data = Buffer.concat([xenNote(6, 'Mini-OS'), xenNote(3, 0x1000n, bits), note('GNU', 3, Buffer.from('abcdefgh'))]);
    const sections = [
      { name: '.text', type: 1, data: Buffer.from('code') },
      { name: '.note', type: 7, data },
    ];
    writeFileSync(path, buildElf({ bits, entry: 0x1234, sections, segments: [{ type: 1, section: '.text', vaddr: 0x1000 }] }));
    compare(path);
  });
});
