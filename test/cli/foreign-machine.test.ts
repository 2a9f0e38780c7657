import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { debianMirrors } from '../../src/sources/origins/debian-mirrors.ts';
import { aptConfig } from '../support/apt-config.ts';
import { pvgrub, root } from '../support/cli.ts';
import { tempFolder } from '../support/tar-maker.ts';
import { readWorkflow } from '../support/workflow.ts';

/** The commands of the release workflow that fetch from Debian, on a machine that is set up as GitHub's runners are. */

const folder = tempFolder();
const ubuntu =
  'deb http://azure.archive.ubuntu.com/ubuntu noble main universe\ndeb http://azure.archive.ubuntu.com/ubuntu noble-updates main\n';
// The mirrors that this machine really has, to give one of them as an operator would.
const [own] = await debianMirrors(undefined, 'http://none.invalid');
const here = own !== 'http://none.invalid' && existsSync('/usr/share/keyrings/debian-archive-keyring.gpg');
/** A name space of its own in which a folder can be hidden. */
const canHide = process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0;
const cell = 'pvgrub2-2.14-x86_64';
const fresh = () => {
  const place = mkdtempSync(join(folder, 'case-'));
  return { PVGRUB_STORE: join(place, 'store'), XDG_CACHE_HOME: join(place, 'cache'), PVGRUB_OUT: join(place, 'out') };
};
const fetch = ['sources', 'fetch', cell, '--origin', 'grub2=debian:grub2/grub2_2.14.orig.tar.xz@sid'];

describe.skipIf(!here)('on a machine whose apt has Ubuntu’s places alone', () => {
  test('sources come from the mirror that is given', async () => {
    const env = { ...fresh(), APT_CONFIG: aptConfig({ sources: ubuntu }), PVGRUB_DEBIAN_MIRROR: own };
    const { code, stderr } = await pvgrub(fetch, { env });
    expect([code, stderr]).toEqual([0, expect.stringContaining('1 of 1 sources are in the store')]);
  });

  test('a mirror that is given is not asked in vain where the primary one cannot be reached: that is said once, with the next step', async () => {
    const env = { ...fresh(), APT_CONFIG: aptConfig({ sources: ubuntu }), http_proxy: 'http://127.0.0.1:1', no_proxy: '' };
    const { code, stderr } = await pvgrub(fetch, { env });
    expect(code).toBe(3);
    expect(stderr).toContain('http://ftp.debian.org/debian/dists/sid/InRelease');
    expect(stderr).not.toContain('ubuntu');
    expect(readdirSync(join(env.PVGRUB_STORE, 'incoming'))).toEqual([]);
  });

  test.skipIf(!canHide)('and that lacks Debian’s keyring: the package to install is named', async () => {
    const env = { ...fresh(), APT_CONFIG: aptConfig({ sources: ubuntu }), PVGRUB_DEBIAN_MIRROR: own };
    const program = [
      'unshare',
      '-m',
      'sh',
      '-c',
      'mount -t tmpfs none /usr/share/keyrings && exec "$@"',
      'sh',
      process.execPath,
      join(root, 'src/cli/main.ts'),
    ];
    const { code, stderr } = await pvgrub(fetch, { env, program });
    expect(code).toBe(3);
    expect(stderr).toContain("Debian's keyring is not on this machine");
    expect(stderr).toContain('apt-get install debian-archive-keyring');
  });
});

test('the jobs of the release workflow that ask a Debian mirror install its keyring first', () => {
  const { jobs } = readWorkflow('release.yml');
  const asks = Object.entries(jobs).filter(([, { steps }]) =>
    steps.some(({ run }) => /pvgrub (sources fetch|build|reproduce)/.test(run ?? '')),
  );
  expect(asks.map(([name]) => name)).toEqual(['build', 'reproduce']);
  for (const [name, { steps }] of asks) {
    const at = (form: RegExp) => steps.findIndex(({ run }) => form.test(run ?? ''));
    expect([
      name,
      at(/debian-archive-keyring/) >= 0 && at(/debian-archive-keyring/) < at(/pvgrub (sources fetch|build|reproduce)/),
    ]).toEqual([name, true]);
  }
  // What it runs is a shell's.
  const script = jobs['build']?.steps.find(({ run }) => /debian-archive-keyring/.test(run ?? ''))?.run ?? '';
  execFileSync('bash', ['-n', '-c', script]);
});
