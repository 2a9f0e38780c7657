import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeDisk, masterBootRecord } from '../../src/boot/disk.ts';

test('partx of util-linux reads the partition table that is written', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-mbr-'));
  try {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4000 }), (mebibytes) => {
        const file = join(folder, 'disk.img');
        writeFileSync(file, masterBootRecord(mebibytes * 2048));
        truncateSync(file, (mebibytes + 1) * 2 ** 20);
        const read = execFileSync('partx', ['--show', '--noheadings', '-o', 'START,SECTORS,TYPE,FLAGS,SCHEME', file], { encoding: 'utf8' });
        expect(read.trim().split(/\s+/)).toEqual(['2048', String(mebibytes * 2048), '0x83', '0x80', 'dos']);
      }),
      { numRuns: 10 },
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('what makes a disk is well-formed shell for any path, and its files have places of their own', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 4 }), (names) => {
      const files = Object.fromEntries(names.map((name) => [`/boot/${name.replaceAll(/[\0/]/g, '_')}`, { text: name }]));
      const disk = makeDisk(
        { table: 'mbr', make: 'mke2fs -q -t ext2 -d', size: 8, files },
        '001',
        'x86_64',
        'in/image-0',
        'job/001/disk.img',
      );
      expect(() => execFileSync('sh', ['-n'], { input: disk.lines.join('\n'), stdio: ['pipe', 'ignore', 'pipe'] })).not.toThrow();
      expect(new Set(disk.files.map(({ name }) => name)).size).toBe(Object.keys(files).length + 1);
    }),
    { numRuns: 20 },
  );
});
