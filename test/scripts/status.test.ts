import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { addStatus, type CellStatus, statusOf, statusPage } from '../../scripts/status-table.ts';
import type { Metadata } from '../../src/build/metadata.ts';
import { planMatrix } from '../../src/plan/plan.ts';
import { sha256 } from '../../src/util/hash.ts';
import { realPlanData } from '../support/plan-data.ts';
import { tempFolder } from '../support/temp-folder.ts';

const root = join(import.meta.dirname, '../..');
const versions = ['4.17.5', '4.17.6'];
const cells = planMatrix({ loaders: { 'pv-grub': { versions, arches: ['x86_64'] } }, include: [], exclude: [] }, realPlanData());
const [cell] = cells as [(typeof cells)[0]];

const metadata = (more: object = {}) =>
  ({
    ...{ schema: 1, id: cell.id, loader: 'pv-grub', version: '4.17.5', arch: 'x86_64', inputHash: 'in' },
    image: { file: 'pv-grub-x86_64.gz', size: 9, sha256: 'aa' },
    sources: [
      { name: 'xen', proof: 'commit', commit: 'c0' },
      { name: 'mini-os', proof: null, commit: '0123456789abcdef' },
      { name: 'grub', proof: null, commit: 'c1' },
    ],
    build: { engine: 'docker', cores: 2, started: '2026-11-25T10:00:00.000Z', seconds: 30.5, toolchain: { id: 't', from: cell.id } },
    ...more,
  }) as unknown as Metadata;
const boot = {
  ok: true,
  hypervisor: 'Xen 4.17.5',
  cases: [
    { name: 'disk', ok: true, guestSeconds: 4 },
    { name: 'btrfs', ok: true },
    { name: 'ext4', ok: false, guestSeconds: 9 },
  ],
} as unknown as NonNullable<Metadata['boot']>;

describe("a cell's record", () => {
  test('has what was seen, the sources that nothing proved, and no place where they came from', () => {
    expect(statusOf(metadata())).toEqual({
      ...{ built: '2026-11-25', inputHash: 'in', size: 9, sha256: 'aa', seconds: 30.5 },
      unproved: ['mini-os', 'grub'],
      miniOs: '0123456789abcdef',
      toolchainFrom: cell.id,
    });
  });

  test('says in words what a Mini-OS of nobody else was, and only where it was unproved', () => {
    const words = '0123456 and two lines by hand';
    const record = statusOf(metadata(), words);
    expect(record.miniOs).toBe(words);
    expect(statusPage([cell], { [cell.id]: record }, new Map())).toContain(`| mini-os ${words}, grub |`);
    expect(statusOf(metadata({ sources: [{ name: 'mini-os', proof: 'commit', commit: 'c0' }] }), words).miniOs).toBeUndefined();
  });

  test('names the cell that had made its toolchain, and how it booted', () => {
    const shared = metadata({ boot, build: { ...metadata().build, toolchain: { id: 't', from: 'another' } } });
    expect(statusOf(shared)).toMatchObject({
      toolchainFrom: 'another',
      boot: { ok: true, hypervisor: 'Xen 4.17.5', cases: ['disk'], refused: ['btrfs'], failed: ['ext4'] },
    });
  });
});

describe('adding a run', () => {
  const was: CellStatus = statusOf(metadata({ boot }));

  test('a later record replaces an earlier one, and what the run did not build stays', () => {
    const before = { [cells[1]?.id ?? '']: { ...was, sha256: 'bb' } };
    const { status, differing } = addStatus(before, { [cell.id]: was }, cells);
    expect(status).toEqual({ [cell.id]: was, ...before });
    expect(Object.keys(status)).toEqual(cells.map(({ id }) => id));
    expect(differing).toEqual([]);
  });

  test('a boot counts for the very image alone', () => {
    const again = statusOf(metadata());
    expect(addStatus({ [cell.id]: was }, { [cell.id]: again }, cells).status[cell.id]?.boot).toEqual(was.boot);
    const other = { ...again, inputHash: 'other', sha256: 'cc' };
    expect(addStatus({ [cell.id]: was }, { [cell.id]: other }, cells).status[cell.id]).toEqual(other);
  });

  test('so does a reproduction, which the page tells with what was varied, or what is to blame', () => {
    const again = (ok: boolean, blame?: string[]) =>
      statusOf(
        metadata({
          reproduced: { ok, when: 'then', engine: 'docker', variations: ['host', 'path'], ...(blame ? { unvaried: 'same', blame } : {}) },
        }),
      );
    expect(again(true).reproduced).toEqual({ ok: true, variations: ['host', 'path'] });
    const [wide, failed] = [again(true), again(false, ['path'])];
    const narrow = { ...wide, reproduced: { ok: true, variations: ['path'] } };
    const added = (before: CellStatus, next: CellStatus) => addStatus({ [cell.id]: before }, { [cell.id]: next }, cells).status[cell.id];
    expect(added(wide, narrow)?.reproduced).toEqual(wide.reproduced);
    expect(added(failed, narrow)?.reproduced).toEqual(failed.reproduced);
    expect(added(failed, wide)?.reproduced).toEqual(wide.reproduced);
    expect(added(wide, failed)?.reproduced).toEqual(failed.reproduced);
    const both = { [cell.id]: wide, [cells[1]?.id ?? '']: narrow };
    expect(statusPage(cells, both, new Map())).toContain('2 were built again, bit for bit, with these varied at once: path (');
    const kept = addStatus({ [cell.id]: again(true) }, { [cell.id]: was }, cells).status;
    expect(kept[cell.id]?.reproduced?.ok).toBe(true);
    expect(
      addStatus({ [cell.id]: again(true) }, { [cell.id]: { ...was, inputHash: 'o', sha256: 'cc' } }, cells).status[cell.id],
    ).not.toHaveProperty('reproduced');
    expect(statusPage([cell], kept, new Map())).toMatch(
      /1 was built again, bit for bit, with these varied at once: host, path .*\n[\s\S]*\| disk \| yes \|/,
    );
    expect(statusPage([cell], { [cell.id]: again(false, ['path']) }, new Map())).toContain('| **no**: path |');
  });

  test('another image from the same inputs is told, each time: the earlier record stays', () => {
    const { status, differing } = addStatus({ [cell.id]: was }, { [cell.id]: { ...was, sha256: 'cc' } }, cells);
    expect(status[cell.id]).toEqual(was);
    expect(differing).toEqual([{ id: cell.id, was: 'aa', is: 'cc' }]);
  });
});

test('the page says what was seen, and of what was not built that it was not', () => {
  const page = statusPage(cells, { [cell.id]: statusOf(metadata({ boot })) }, new Map([[cells[1]?.id ?? '', 'No Mini-OS']]));
  expect(page).toContain('Of 2 cells 1 were built, and 1 of these images booted (Xen 4.17.5).');
  expect(page).toContain('| 4.17.5 | x86_64 | 2026-11-25 | disk | not tried | `aa` | 9 | 30.5 * | mini-os 0123456789ab, grub |');
  expect(page).toMatch(/\| 4\.17\.6 † \| x86_64 \| no \|[\s|]+\n\n† No Mini-OS\./);
});

test('the script adds artifacts to the data, writes the page, and fails where an image is another', () => {
  const folder = tempFolder();
  const place = join(folder, 'artifacts/pv-grub/4.17.5/x86_64');
  mkdirSync(place, { recursive: true });
  const run = () =>
    execFileSync(process.execPath, [join(root, 'scripts/status.ts'), '--docs', folder, join(folder, 'artifacts')], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  const put = (content: string) => {
    const image = { file: 'pv-grub-x86_64.gz', size: content.length, sha256: sha256(Buffer.from(content)) };
    writeFileSync(join(place, image.file), content);
    writeFileSync(join(place, 'metadata.json'), JSON.stringify(metadata({ image })));
    return image.sha256;
  };
  const first = put('one');
  expect(run()).toContain('1 cells');
  expect(Object.keys(JSON.parse(readFileSync(join(folder, 'status.json'), 'utf8')))).toEqual([cell.id]);
  expect(readFileSync(join(folder, 'status.md'), 'utf8')).toContain(`\`${first}\``);
  const second = put('two');
  for (let time = 0; time < 2; time++) expect(run).toThrow(`same inputs gave ${second}, and ${first} before`);
  writeFileSync(join(place, 'pv-grub-x86_64.gz'), 'damaged');
  expect(run).toThrow(/pv-grub-x86_64\.gz/);
});
