import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Deb, deb } from '../../src/publish/deb.ts';
import { newKey } from '../../src/publish/key.ts';
import { preparedImages } from '../../src/publish/prepare.ts';
import { hasJudge } from '../support/judges.ts';
import { lastingFolder } from '../support/lasting-folder.ts';
import { makeArtifacts } from '../support/published.ts';

const key = newKey();
const folder = lastingFolder();
let made: Deb;
let again: Deb;
const options = {
  name: 'pv-grub',
  maintainer: 'Jane Doe <jane@example.net>',
  homepage: 'https://example.net/',
  date: new Date('2026-11-25T10:00:00Z'),
};

beforeAll(async () => {
  for (const id of [
    'pv-grub-4.16.0-x86_64',
    'pv-grub-4.17.4-x86_64',
    'pv-grub-4.17.5-x86_64',
    'pv-grub-4.17.5-x86_32',
    'pvgrub2-2.12-x86_64',
  ])
    await makeArtifacts(folder, id, key, { size: 40_000 });
  const prepared = await preparedImages(folder, (ids) => ids, key);
  [made, again] = [await deb(prepared, options), await deb(prepared, options)];
  writeFileSync(join(folder, made.file), made.bytes);
});

const run = (command: string, ...args: string[]) =>
  execFileSync(command, [...args, join(folder, made.file)], { encoding: 'utf8', stdio: 'pipe' });

test('the same images give the same package, named by the newest image and the date', () => {
  expect(again).toEqual(made);
  expect(made.file).toBe('pv-grub_4.17.5+202611251000_all.deb');
});

test.each([
  ['a name', { name: 'PV GRUB' }],
  ['a maintainer', { maintainer: 'Jane' }],
  ['a maintainer of two lines', { maintainer: 'Jane\nDepends: evil <jane@example.net>' }],
])('is not made with %s that is none', async (_what, change) => {
  await expect(deb([], { ...options, ...change })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
});

describe.skipIf(!hasJudge('dpkg-deb'))('dpkg-deb', () => {
  test('reads it: for all architectures, with every image, and links where Xen of each series looks', () => {
    expect(run('dpkg-deb', '-I')).toMatch(/Architecture: all\n.*Maintainer: Jane Doe.*Homepage: https:\/\/example\.net\//s);
    const list = run('dpkg-deb', '-c');
    for (const path of [
      'pv-grub-4.17.4/pv-grub-x86_64.gz',
      'pv-grub-4.17.5/pv-grub-x86_32.gz.minisig',
      'pvgrub2-2.12/grub-x86_64-xen.bin.intoto.jsonl',
    ])
      expect(list).toMatch(new RegExp(`-rw-r--r-- root/root +\\d+ \\S+ \\S+ \\./usr/lib/pv-grub/${path}\\n`));
    expect(list).toContain('./usr/lib/xen-4.17/boot/pv-grub-x86_64.gz -> ../../pv-grub/pv-grub-4.17.5/pv-grub-x86_64.gz\n');
    expect(list).toContain('./usr/lib/xen-4.16/boot/pv-grub-x86_64.gz -> ../../pv-grub/pv-grub-4.16.0/pv-grub-x86_64.gz\n');
  });

  test('unpacks it to the very images, with sums that are right', () => {
    const to = lastingFolder();
    execFileSync('dpkg-deb', ['-R', join(folder, made.file), to]);
    const image = readFileSync(join(folder, 'pv-grub/4.17.5/x86_64/pv-grub-x86_64.gz'));
    expect(readFileSync(join(to, 'usr/lib/xen-4.17/boot/pv-grub-x86_64.gz'))).toEqual(image);
    execFileSync('md5sum', ['-c', '--strict', '--quiet', 'DEBIAN/md5sums'], { cwd: to });
  });
});

test.skipIf(!hasJudge('lintian'))('lintian has no errors and no warnings', () => {
  const found = run('lintian', '--allow-root', '--fail-on', 'error,warning');
  expect(found.split('\n').filter((line) => /^[EW]:/.test(line))).toEqual([]);
});
