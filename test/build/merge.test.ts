import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lastSeconds } from '../../src/build/journal.ts';
import { mergeOutputs } from '../../src/build/merge.ts';
import { sha256 } from '../../src/util/hash.ts';
import { pvgrub } from '../support/cli.ts';
import { thrownBy } from '../support/temp-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pvgrub-merge-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** An output folder with cells, each an image with its metadata, as a run leaves it. */
function output(name: string, images: Record<string, string>): string {
  const out = join(folder, name);
  for (const [cell, content] of Object.entries(images)) {
    const [version = '', arch = ''] = cell.split('/');
    const place = join(out, 'pv-grub', version, arch);
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'pv-grub.gz'), content);
    writeFileSync(join(place, 'build.log'), `${name}\n`);
    const id = `pv-grub-${version}-${arch}`;
    const metadata = {
      schema: 1,
      id,
      loader: 'pv-grub',
      version,
      arch,
      image: { file: 'pv-grub.gz', size: content.length, sha256: sha256(content) },
    };
    writeFileSync(join(place, 'metadata.json'), JSON.stringify(metadata));
    const entry = { time: name, run: name, cell: id, state: 'done', seconds: content.length };
    writeFileSync(join(out, 'journal.jsonl'), `${JSON.stringify(entry)}\n`, { flag: 'a' });
  }
  return out;
}
const sums = (out: string) =>
  execFileSync('sha256sum', ['-c', '--strict', 'SHA256SUMS'], { cwd: out, encoding: 'utf8' }).match(/: OK$/gm)?.length;

test('cells of all folders come together, with sums that sha256sum accepts and one journal', async () => {
  const [one, two] = [
    output('one', { '4.1.4/x86_64': 'a', '4.1.4/x86_32': 'bb' }),
    output('two', { '4.2.5/x86_64': 'ccc', '4.1.4/x86_64': 'a' }),
  ];
  const all = join(folder, 'all');
  expect(await mergeOutputs([one, two], all)).toEqual({
    copied: ['pv-grub-4.1.4-x86_32', 'pv-grub-4.1.4-x86_64', 'pv-grub-4.2.5-x86_64'],
    same: ['pv-grub-4.1.4-x86_64'],
  });
  expect(sums(all)).toBe(3);
  expect(await lastSeconds(all)).toEqual(
    new Map([
      ['pv-grub-4.1.4-x86_64', 1],
      ['pv-grub-4.1.4-x86_32', 2],
      ['pv-grub-4.2.5-x86_64', 3],
    ]),
  );
  expect(readdirSync(all).sort()).toEqual(['SHA256SUMS', 'journal.jsonl', 'pv-grub']);
  // Once more changes nothing.
  const before = readFileSync(join(all, 'journal.jsonl'), 'utf8');
  expect((await mergeOutputs([one, two], all)).copied).toEqual([]);
  expect(readFileSync(join(all, 'journal.jsonl'), 'utf8')).toBe(before);
});

test('two images of one cell are an error that names both, and nothing is written', async () => {
  const [one, two] = [output('one', { '4.1.4/x86_64': 'a' }), output('two', { '4.1.4/x86_64': 'other', '4.2.5/x86_64': 'c' })];
  const all = join(folder, 'all');
  expect(await thrownBy(() => mergeOutputs([one, two], all))).toMatchObject({
    code: 'OUTPUT_DIFFERS',
    expected: expect.stringContaining(one),
    got: expect.stringContaining(two),
  });
  expect(existsSync(all)).toBe(false);
});

test('what is there already stays, and is compared, too', async () => {
  const [one, all] = [output('one', { '4.1.4/x86_64': 'a' }), output('all', { '4.2.5/x86_64': 'c' })];
  await mergeOutputs([one], all);
  expect(sums(all)).toBe(2);
  cpSync(output('two', { '4.2.5/x86_64': 'changed' }), join(folder, 'three'), { recursive: true });
  expect(await thrownBy(() => mergeOutputs([join(folder, 'three')], all))).toMatchObject({ code: 'OUTPUT_DIFFERS' });
});

test('folders may be written with dots and slashes, as shells complete them', async () => {
  output('one', { '4.1.4/x86_64': 'a' });
  const called = await pvgrub(['merge', './one/', '--out', './all/'], { cwd: folder });
  expect(called).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1 cell merged/) });
  expect(sums(join(folder, 'all'))).toBe(1);
});

test('a damaged image where all comes together is told before anything is written', async () => {
  const [one, all] = [output('one', { '4.2.5/x86_64': 'a' }), output('all', { '4.1.4/x86_64': 'c' })];
  writeFileSync(join(all, 'pv-grub/4.1.4/x86_64/pv-grub.gz'), 'tampered');
  expect(await thrownBy(() => mergeOutputs([one], all))).toMatchObject({ code: 'OUTPUT_DAMAGED' });
  expect(existsSync(join(all, 'pv-grub/4.2.5'))).toBe(false);
});

test('an image that was changed is refused; a folder without results is told', async () => {
  const one = output('one', { '4.1.4/x86_64': 'a' });
  writeFileSync(join(one, 'pv-grub/4.1.4/x86_64/pv-grub.gz'), 'tampered');
  const called = await pvgrub(['merge', one, '--out', join(folder, 'all')]);
  expect(called).toMatchObject({ code: 5, stderr: expect.stringContaining('[OUTPUT_DAMAGED]') });
  expect(await pvgrub(['merge', folder, '--out', join(folder, 'all')])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('has no results'),
  });
  expect(await pvgrub(['merge', one])).toMatchObject({ code: 2, stderr: expect.stringContaining('--out') });
  expect(existsSync(join(folder, 'all'))).toBe(false);
});
