import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import type { Settings } from '../../../src/config/settings.ts';
import { networkFindings, toolFindings } from '../../../src/doctor/look.ts';
import { ensureBase } from '../../../src/engine/base-image.ts';
import { which } from '../../../src/setup/host-tools.ts';
import { aptProxy } from '../../../src/sources/origins/apt.ts';
import { type DebianContext, debianFile, debianKeyring } from '../../../src/sources/origins/debian.ts';
import { debianMirrors } from '../../../src/sources/origins/debian-mirrors.ts';
import { aptConfig, githubRunner } from '../../support/apt-config.ts';
import { addSuite, hasGpg, type Mirror, makeKey, type PoolFile } from '../../support/debian-mirror.ts';
import { fakeDaemon, json, refuse } from '../../support/fake-daemon.ts';
import { fakePrograms } from '../../support/fake-programs.ts';
import { httpProxy } from '../../support/http-proxy.ts';
import { sendWithRange, serve } from '../../support/http-server.ts';
import { tempFolder } from '../../support/tar-maker.ts';

/** Files of Debian and its base image, on machines whose apt is set up in other ways. */

const hasApt = (await which('apt-get')) !== undefined;
const folder = tempFolder();
const nobody = 'http://127.0.0.1:1/debian';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe.skipIf(!hasApt || !hasGpg())('a file of Debian', () => {
  const key = makeKey(folder, 'foreign');
  afterAll(() => key.stop());
  const xen: PoolFile = { package: 'xen', version: '4.17.5-1', file: 'xen_4.17.5.orig.tar.xz', bytes: Buffer.alloc(5000, 'xen ') };

  /** A mirror that has these files in its suite stable. */
  async function mirrorWith(...files: PoolFile[]) {
    const mirror: Mirror = new Map();
    addSuite(mirror, 'stable', key, files);
    return serve((request, response) => {
      const content = mirror.get(request.url ?? '');
      if (content) sendWithRange(request, response, content);
      else response.writeHead(404).end();
    });
  }

  /** Ask for the file as the command line does. */
  async function ask(mirrors: string[], more: Partial<DebianContext> = {}) {
    const place = mkdtempSync(join(folder, 'case-'));
    const file = join(place, 'file');
    const context: DebianContext = {
      ...{ limit: 10 ** 7, backoff: 1, retries: 3, cache: join(place, 'cache'), mirrors, aptProxy: await aptProxy() },
      ...{ warn: () => {}, now: Date.now(), keyring: key.keyring, pinned: false, ...more },
    };
    const result = await debianFile({ package: 'xen', file: xen.file, suites: ['older', 'stable'] }, file, context).catch((error) => error);
    return { result, file };
  }

  test('comes from the primary mirror where the machine has Ubuntu’s places alone', async () => {
    const primary = await mirrorWith(xen);
    aptConfig({ sources: '', files: githubRunner });
    const { result, file } = await ask(await debianMirrors(undefined, primary.url));
    expect(result).toEqual({ suite: 'stable', version: '4.17.5-1' });
    expect(readFileSync(file).equals(xen.bytes)).toBe(true);
  });

  test('comes from a mirror of a list in a file, as Debian’s cloud images have it', async () => {
    const server = await mirrorWith(xen);
    aptConfig({
      sources: 'deb mirror+file:DIR/etc/debian.list bookworm main\n',
      files: { 'etc/debian.list': `${server.url}\tpriority:1\n` },
    });
    expect((await ask(await debianMirrors(undefined, nobody))).result).toMatchObject({ suite: 'stable' });
  });

  test('comes through the proxy that stands in apt.conf alone', async () => {
    const server = await mirrorWith(xen);
    const proxy = await httpProxy(Number(new URL(server.url).port));
    for (const name of ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy']) vi.stubEnv(name, '');
    aptConfig({ sources: 'deb http://mirror.example.test bookworm main\n', conf: `Acquire::http::Proxy "http://${proxy.address}";` });
    expect((await ask(await debianMirrors(undefined, nobody))).result).toMatchObject({ suite: 'stable' });
    expect(proxy.asked).toContain('GET http://mirror.example.test/dists/stable/InRelease');
    expect(proxy.asked.at(-1)).toBe(`GET http://mirror.example.test/pool/main/x/xen/${xen.file}`);
  });

  test('that no mirror has: what each answered comes first and once, then which did not answer, with few further tries', async () => {
    const mirrors = [await mirrorWith(), await mirrorWith()].map(({ url }) => url);
    const { result } = await ask([nobody, ...mirrors, `${nobody}-2`]);
    expect(result.code).toBe('SOURCE_UNAVAILABLE');
    expect(result.message.split('; ')).toEqual([
      `older: ${mirrors[0]}/dists/older/InRelease: HTTP 404`,
      'stable does not list it',
      `older: ${mirrors[1]}/dists/older/InRelease: HTTP 404`,
      `${nobody}/dists/older/InRelease: connection refused`,
      `${nobody}-2/dists/older/InRelease: connection refused`,
    ]);
    expect(result.hint).toBeUndefined();
  });

  test('is asked for once more, and not as often as before, where another mirror has answered', async () => {
    const busy = await serve((_request, response) => response.writeHead(503).end());
    await ask([(await mirrorWith()).url, busy.url]);
    expect(busy.requests).toHaveLength(2);
  });

  test('where no mirror answers at all: what to set is named', async () => {
    const { result } = await ask([nobody], { retries: 0 });
    expect(result).toMatchObject({ code: 'SOURCE_UNAVAILABLE', hint: expect.stringContaining('PVGRUB_DEBIAN_MIRROR') });
  });

  test.each([
    ['gpgv', 'gpgv'],
    ['xz', 'xz-utils'],
  ])('on a machine without %s: its package is named, before anything is fetched', async (tool, packageName) => {
    const server = await mirrorWith(xen);
    const bin = mkdtempSync(join(folder, 'bin-'));
    for (const name of ['gpgv', 'xz'].filter((one) => one !== tool))
      writeFileSync(join(bin, name), `#!/bin/sh\nexec '${await which(name)}' "$@"\n`, { mode: 0o755 });
    vi.stubEnv('PATH', bin);
    const { result } = await ask([server.url]);
    expect(result).toMatchObject({ code: 'DEBIAN_UNVERIFIED', hint: `apt-get install ${packageName}` });
    expect(result.message).toContain(`${tool} cannot be run`);
    expect(server.requests).toEqual([]);
  });
});

describe.skipIf(!hasApt)('what doctor finds on Ubuntu', () => {
  /** Which mirrors it reports, where Debian's primary mirror cannot be reached. */
  async function found(debianMirror: string) {
    aptConfig({ sources: '', files: githubRunner });
    vi.stubEnv('http_proxy', 'http://127.0.0.1:1');
    vi.stubEnv('no_proxy', '');
    const settings = { offline: false, debianMirror, store: join(folder, 'store'), origins: {}, trust: [] } as unknown as Settings;
    const findings = await networkFindings(settings, [], Date.now);
    return findings.filter(({ name }) => name === 'mirror').map(({ level, said }) => `${level} ${said}`);
  }

  test('is the mirror that answers; the primary one is missed only where none does', async () => {
    const server = await serve((_request, response) => response.end());
    expect(await found(server.url)).toEqual([`ok ${server.url}/ answers`]);
    expect(await found(nobody)).toEqual([
      expect.stringMatching(/^warning http:\/\/127.0.0.1:1\/debian\/ cannot be reached/),
      expect.stringMatching(/^warning http:\/\/ftp.debian.org\/debian\/ cannot be reached/),
    ]);
  });

  test('includes Debian’s keyring', async () => {
    const keyring = await debianKeyring();
    expect(await toolFindings()).toContainEqual(
      keyring === undefined
        ? expect.objectContaining({ name: 'keyring', level: 'warning', hint: 'apt-get install debian-archive-keyring' })
        : expect.objectContaining({ name: 'keyring', level: 'ok', said: keyring }),
    );
  });
});

describe.skipIf(!hasApt)('a base image that mmdebstrap makes', async () => {
  const keyring = await debianKeyring();

  /** What mmdebstrap is called with, and through which proxy it would go. */
  async function made() {
    const programs = fakePrograms({ mmdebstrap: `[ "$1" = --version ] || { echo "proxy $http_proxy" >> "$0.proxy"; printf 'a tar'; }` });
    const daemon = await fakeDaemon({
      'GET /images/*': refuse(404),
      'POST /images/create': async (response, call) => {
        await call.body();
        response.writeHead(200).end('{"status":"sha256:new"}\n');
      },
      'POST /images/sha256:new/tag': json(201, {}),
    });
    const wish = { wanted: 'mmdebstrap', suite: 'bookworm', debianMirror: undefined, offline: false, say: () => {} };
    await ensureBase(daemon.engine, wish);
    return { call: programs.calls().at(-1), proxy: readFileSync(join(programs.folder, 'mmdebstrap.proxy'), 'utf8').trim() };
  }

  test.skipIf(keyring === undefined)(
    'on Ubuntu is Debian’s primary mirror’s, checked with Debian’s keyring, through apt’s proxy',
    async () => {
      vi.stubEnv('no_proxy', '');
      aptConfig({ sources: '', files: githubRunner, conf: 'Acquire::http::Proxy "http://proxy.example.test:3142";' });
      const { call, proxy } = await made();
      const lines = ['bookworm', 'bookworm-updates'].map(
        (suite) => `deb [signed-by=${keyring}] http://ftp.debian.org/debian ${suite} main`,
      );
      expect(call).toContain(`bookworm - ${lines.join(' ')}`);
      expect(proxy).toBe('proxy http://proxy.example.test:3142');
    },
  );

  test('on a Debian whose apt takes Debian’s keys by itself names none', async () => {
    const config = aptConfig({ sources: 'deb http://mirror.example.test/debian bookworm main\n' });
    const trusted = join(config, '../etc/trusted.gpg.d');
    mkdirSync(trusted);
    writeFileSync(join(trusted, 'debian-archive-bookworm-stable.asc'), '');
    expect((await made()).call).toContain('bookworm - deb http://mirror.example.test/debian bookworm main');
  });
});
