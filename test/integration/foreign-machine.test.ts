import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { aptConfig, githubRunner } from '../support/apt-config.ts';
import { pvgrub } from '../support/cli.ts';
import { addSuite, hasGpg, type Mirror, makeKey } from '../support/debian-mirror.ts';
import { sendWithRange, serve } from '../support/http-server.ts';
import { compress, goodTar, tempFolder } from '../support/tar-maker.ts';
import { readWorkflow } from '../support/workflow.ts';

/** The steps of release.yml's build job that fetch from Debian, on a machine that is set up as a runner of GitHub. Needs no network. */

const folder = tempFolder();
/** A name space of its own in which a folder can be hidden. */
const canHide = process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0;

describe.skipIf(!canHide || !hasGpg())('a build job of the release workflow on Ubuntu', async () => {
  const steps = readWorkflow('release.yml').jobs['build']?.steps.flatMap(({ run }) => run ?? []) ?? [];
  const install = steps.find((run) => run.includes('debian-archive-keyring')) ?? '';
  const fetch = steps.find((run) => run.includes('pvgrub sources fetch')) ?? '';
  const key = makeKey(folder, 'archive');
  afterAll(() => key.stop());
  const mirror: Mirror = new Map();
  const bytes = compress('xz', await goodTar('grub-2.14'));
  addSuite(mirror, 'sid', key, [{ package: 'grub2', version: '2.14-1', file: 'grub2_2.14.orig.tar.xz', bytes }]);
  const server = await serve((request, response) => {
    const content = mirror.get(request.url ?? '');
    if (content) sendWithRange(request, response, content);
    else response.writeHead(404).end();
  });

  /** Run steps one after the other where no keyring is installed. The only mirror that answers is that of the test. */
  async function job(...scripts: string[]) {
    const place = mkdtempSync(join(folder, 'job-'));
    const bin = join(place, 'bin');
    mkdirSync(bin);
    // Ubuntu's package brings the keyring; here it is that of the test's mirror.
    const sudo = `case "$*" in *install*debian-archive-keyring*) cp '${key.keyring}' /usr/share/keyrings/debian-archive-keyring.gpg;; esac`;
    writeFileSync(join(bin, 'sudo'), `#!/bin/sh\necho "sudo $*"\n${sudo}\n`, { mode: 0o755 });
    const env = {
      PATH: `${bin}:${process.env['PATH']}`,
      APT_CONFIG: aptConfig({ sources: '', files: githubRunner }),
      PVGRUB_DEBIAN_MIRROR: server.url,
      PVGRUB_STORE: join(place, 'store'),
      XDG_CACHE_HOME: join(place, 'cache'),
      // The test's file differs from the pinned one.
      CELLS: 'pvgrub2-2.14-x86_64 --trust grub2',
      ...{ http_proxy: 'http://127.0.0.1:1', https_proxy: 'http://127.0.0.1:1', all_proxy: '', no_proxy: '' },
    };
    const each = scripts.map((_, index) => `bash --noprofile --norc -e -c "$${index + 1}"`);
    const all = `mount -t tmpfs none /usr/share/keyrings && ${each.join(' && ')}`;
    return pvgrub(scripts, { env, program: ['unshare', '-m', 'sh', '-c', all, 'sh'] });
  }

  test('without Debian’s keyring names the package, and asks no mirror for anything', async () => {
    const { code, stderr } = await job(fetch);
    expect([code, stderr]).toEqual([3, expect.stringContaining("Debian's keyring is not on this machine")]);
    expect(stderr).toContain('debian-archive-keyring');
    expect(stderr).not.toMatch(/ubuntu/);
    expect(server.requests).toEqual([]);
  });

  test('gets its sources from a Debian mirror once its own step has installed the keyring', async () => {
    const { code, stdout, stderr } = await job(install, fetch);
    expect([code, stderr]).toEqual([0, expect.stringContaining('1 of 1 sources are in the store')]);
    expect(stdout).toMatch(/^sudo apt-get update\nsudo apt-get install .*debian-archive-keyring$/m);
    expect(server.requests.at(-1)?.path).toBe('/pool/main/g/grub2/grub2_2.14.orig.tar.xz');
  });
});
