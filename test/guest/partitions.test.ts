import { execFileSync } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { masterBootRecord } from '../../src/boot/disk.ts';
import { areaOf } from '../../src/guest/disk/area.ts';
import { partitionTable } from '../../src/guest/disk/partitions.ts';
import { hasJudge } from '../support/judges.ts';
import { tempFolder } from '../support/temp-folder.ts';

const MIB = 2 ** 20;
const SFDISK = hasJudge('sfdisk');

/** A disk that sfdisk partitioned, and what sfdisk says of it. */
function partitioned(script: string): { disk: Buffer; told: { start: number; size: number; node: string; type: string }[] } {
  const file = join(tempFolder(), 'disk');
  writeFileSync(file, '');
  truncateSync(file, 64 * MIB);
  execFileSync('sfdisk', ['-q', file], { input: script, stdio: ['pipe', 'pipe', 'pipe'] });
  const told = JSON.parse(execFileSync('sfdisk', ['--json', file]).toString()) as {
    partitiontable: { partitions: { start: number; size: number; node: string; type: string }[] };
  };
  return { disk: readFileSync(file), told: told.partitiontable.partitions };
}

describe.skipIf(!SFDISK)('a table that sfdisk wrote', () => {
  test.each([
    ['mbr', 'label: dos\nsize=8M, type=83, bootable\nsize=8M, type=82\n'],
    ['mbr', 'label: dos\n1 : size=8M, type=83\n2 : size=40M, type=5\n5 : size=6M, type=83\n6 : size=6M, type=82\n7 : size=6M, type=8e\n'],
    ['mbr', 'label: dos\n4 : start=20M, size=8M, type=83\n2 : start=2M, size=8M, type=83\n'],
    ['gpt', 'label: gpt\nsize=8M\nsize=16M, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F\n'],
  ] as const)('%s: its partitions are those that sfdisk lists', (kind, script) => {
    const { disk, told } = partitioned(script);
    const table = partitionTable(areaOf(disk));
    expect(table).toMatchObject({ kind, faults: [] });
    const extended = /^(5|f|85)$/;
    const plain = (type: string) => (kind === 'mbr' ? Number.parseInt(type, 16) : type.toUpperCase());
    expect(table.partitions.map(({ number, start, size, type }) => [number, start, size, plain(type)])).toEqual(
      told
        .filter(({ type }) => !extended.test(type))
        .map(({ node, start, size, type }) => [Number(/\d+$/.exec(node)?.[0]), start * 512, size * 512, plain(type)]),
    );
  });

  test('a chain of logical partitions that goes in circles ends', () => {
    const { disk, told } = partitioned('label: dos\n1 : size=40M, type=5\n5 : size=6M, type=83\n6 : size=6M, type=83\n');
    const extended = (told[0]?.start ?? 0) * 512;
    // The first link leads to itself.
    disk.writeUInt32LE(0, extended + 462 + 8);
    disk[extended + 462 + 4] = 5;
    const { partitions, faults } = partitionTable(areaOf(disk));
    expect(partitions.length).toBeLessThan(100);
    expect(faults.join()).toContain('does not end');
  });

  test('a GPT whose own numbers are wild is told, and nothing more', () => {
    const { disk } = partitioned('label: gpt\nsize=8M\n');
    disk.writeUInt32LE(0xffff_ffff, 512 + 80);
    expect(partitionTable(areaOf(disk))).toMatchObject({
      kind: 'gpt',
      partitions: [],
      faults: [expect.stringContaining('4294967295 entries')],
    });
  });
});

test('our own boot record is one', () => {
  const disk = Buffer.concat([masterBootRecord(2048), Buffer.alloc(3 * MIB)]);
  expect(partitionTable(areaOf(disk)).partitions).toEqual([{ number: 1, start: MIB, size: MIB, type: '83' }]);
});

test('the boot sector of a file system is no partition table', () => {
  const sector = Buffer.alloc(MIB, 0x90);
  sector.writeUInt16LE(0xaa55, 510);
  expect(partitionTable(areaOf(sector))).toEqual({ kind: 'none', partitions: [], faults: [] });
});

test('what reaches out of the disk is told', () => {
  const disk = Buffer.concat([masterBootRecord(1 << 20), Buffer.alloc(3 * MIB)]);
  expect(partitionTable(areaOf(disk)).faults).toEqual(['partition 1 reaches beyond the end of the disk']);
});

test('any bytes have a table or none, and partitions lie within', () => {
  const sector = fc.uint8Array({ minLength: 512, maxLength: 2048 }).map((bytes) => {
    bytes[510] = 0x55;
    bytes[511] = 0xaa;
    return Buffer.from(bytes);
  });
  fc.assert(
    fc.property(sector, fc.boolean(), (bytes, table) => {
      if (table) for (const at of [446, 462, 478, 494]) bytes[at] = 0;
      for (const { start } of partitionTable(areaOf(bytes)).partitions) expect(start).toBeLessThan(bytes.length);
    }),
  );
});
