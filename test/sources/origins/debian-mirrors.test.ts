import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { aptProxy, parseAptConfig } from '../../../src/sources/origins/apt.ts';
import { debianMirrors, parseMirrorList } from '../../../src/sources/origins/debian-mirrors.ts';
import { aptConfig, githubRunner } from '../../support/apt-config.ts';
import { serve } from '../../support/http-server.ts';
import { tempFolder } from '../../support/tar-maker.ts';

/** Mirrors on machines that are set up in other ways, as the real apt reads that. */

const folder = tempFolder();
const primary = 'http://primary.example.test/debian';
const hasApt = (() => {
  try {
    execFileSync('apt-config', ['dump'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
})();

afterEach(() => {
  vi.unstubAllEnvs();
});

const release = (origin: string, codename: string) =>
  `Origin: ${origin}\nSuite: ${codename}\nCodename: ${codename}\nComponents: main\nArchitectures: amd64\n`;

describe.skipIf(!hasApt)('the mirrors of a machine', () => {
  test('whose lists are empty, as in a container, are those of its sources', async () => {
    aptConfig({ sources: 'deb http://mirror.example.test/debian bookworm main\n' });
    expect(await debianMirrors(undefined, primary)).toEqual(['http://mirror.example.test/debian', primary]);
  });

  test('that has none but Ubuntu’s are the primary mirror alone, with lists and without', async () => {
    const sources = 'deb http://azure.archive.ubuntu.com/ubuntu noble main\ndeb http://ports.example.test/mirror noble main\n';
    aptConfig({ sources, lists: { 'ports.example.test_mirror_dists_noble_Release': release('Ubuntu', 'noble') } });
    // Without an index only the path says whose it is.
    expect(await debianMirrors(undefined, primary)).not.toContain('http://azure.archive.ubuntu.com/ubuntu');
    expect((await debianMirrors(undefined, primary)).at(-1)).toBe(primary);
  });

  test('that is a runner of GitHub, where Ubuntu’s places stand in a mirror list, are the primary mirror alone', async () => {
    aptConfig({ sources: '', files: githubRunner });
    expect(await debianMirrors(undefined, primary)).toEqual([primary]);
  });

  test('with a mirror list, as Debian’s cloud images have, are those of the list', async () => {
    aptConfig({
      sources: 'deb mirror+file:DIR/etc/debian.list bookworm main\ndeb mirror+file:DIR/missing.list bookworm main\n',
      files: {
        'etc/debian.list': '# ours\nhttp://two.example.test/debian/ priority:2\nhttps://one.example.test/debian\tpriority:1\nfile:/srv/x\n',
      },
    });
    expect(await debianMirrors(undefined, primary)).toEqual(['https://one.example.test/debian', 'http://two.example.test/debian', primary]);
  });

  test('with a mirror list on a server are those of the list; a list that is too long is left out', async () => {
    const server = await serve((request, response) =>
      response.end(request.url === '/long' ? 'http://x.example.test/\n'.repeat(20_000) : 'http://m.example.test/debian\n'),
    );
    const host = server.url.replace('http:', '');
    aptConfig({ sources: `deb mirror+http:${host}/list bookworm main\ndeb mirror+http:${host}/long bookworm main\n` });
    expect(await debianMirrors(undefined, primary)).toEqual(['http://m.example.test/debian', primary]);
  });

  test('are the configured one first, the primary last, none twice; other kinds of places are left out', async () => {
    aptConfig({
      sources:
        'deb http://mirror.example.test/debian/ bookworm main\ndeb http://mirror.example.test/debian bookworm-updates main\ndeb cdrom:[Disc]/ bookworm main\ndeb file:/srv/debian bookworm main\n',
    });
    expect(await debianMirrors('http://own.example.test/debian//', primary)).toEqual([
      'http://own.example.test/debian',
      'http://mirror.example.test/debian',
      primary,
    ]);
    expect(await debianMirrors(primary, primary)).toEqual([primary, 'http://mirror.example.test/debian']);
  });

  test('are not those of single programs; one that only may be Debian’s is asked after those that are called so', async () => {
    aptConfig({
      sources: [
        'deb http://cache.example.test/apt bookworm main',
        'deb https://download.example.test/linux/debian bookworm stable',
        'deb http://flat.example.test/debian ./',
        'deb http://mirror.example.test/debian bookworm main',
        'deb-src http://sources.example.test/debian bookworm main\n',
      ].join('\n'),
    });
    expect(await debianMirrors(undefined, primary)).toEqual([
      'http://mirror.example.test/debian',
      'http://sources.example.test/debian',
      'http://cache.example.test/apt',
      primary,
    ]);
  });

  test('is Debian’s own where nothing is said', async () => {
    aptConfig({ sources: '' });
    expect(await debianMirrors(undefined)).toEqual(['http://ftp.debian.org/debian']);
  });
});

describe.skipIf(!hasApt)('the proxy of apt', () => {
  beforeEach(() => {
    vi.stubEnv('no_proxy', 'inner.example.test');
  });
  /** A command for Proxy-Auto-Detect. */
  const script = (text: string) => {
    const command = join(mkdtempSync(join(folder, 'auto-')), 'detect');
    writeFileSync(command, `#!/bin/sh\n${text}\n`);
    chmodSync(command, 0o755);
    return command;
  };

  test.each([
    [
      'is that of apt.conf',
      'Acquire::http::Proxy "http://proxy.example.test:3142/";',
      'http://m.example.test/x',
      'http://proxy.example.test:3142/',
    ],
    [
      'serves https as well',
      'Acquire::http::Proxy "http://proxy.example.test:3142/";',
      'https://m.example.test/x',
      'http://proxy.example.test:3142/',
    ],
    [
      'for https is its own',
      'Acquire::http::Proxy "http://a/"; Acquire::https::Proxy "http://b/";',
      'https://m.example.test/x',
      'http://b/',
    ],
    [
      'for one host is none',
      'Acquire::http { Proxy "http://a/"; Proxy { m.example.test "DIRECT"; }; };',
      'http://m.example.test/x',
      'DIRECT',
    ],
    [
      'for one host comes before that of https',
      'Acquire::http::Proxy::m.example.test "http://a/"; Acquire::https::Proxy "http://b/";',
      'https://m.example.test/x',
      'http://a/',
    ],
    ['is none for a host of no_proxy', 'Acquire::http::Proxy "http://a/";', 'http://inner.example.test/x', 'DIRECT'],
    ['is none for this machine', 'Acquire::http::Proxy "http://a/";', 'http://127.0.0.1/x', 'DIRECT'],
    ['may be one of SOCKS', 'Acquire::http::Proxy "socks5h://a:1080";', 'http://m.example.test/x', 'socks5://a:1080'],
    ['may be switched off', 'Acquire::http::Proxy "false";', 'http://m.example.test/x', 'DIRECT'],
    ['is left to the environment where apt says nothing', '', 'http://m.example.test/x', undefined],
  ])('%s', async (_what, conf, url, proxy) => {
    aptConfig({ sources: '', conf });
    expect(await (await aptProxy())(url)).toBe(proxy);
  });

  test('is what the command of Proxy-Auto-Detect prints', async () => {
    const command = script('case $1 in *none*) echo DIRECT;; *) echo http://found.example.test:3142;; esac');
    aptConfig({ sources: '', conf: `Acquire::http::Proxy-Auto-Detect "${command}";` });
    const proxy = await aptProxy();
    expect([await proxy('http://m.example.test/'), await proxy('http://none.example.test/')]).toEqual([
      'http://found.example.test:3142',
      'DIRECT',
    ]);
    // As apt does: https has a command of its own.
    expect(await proxy('https://m.example.test/')).toBeUndefined();
  });

  test('is asked of that command before the setting for all hosts, after that for one host, and once for each server', async () => {
    const asked = join(folder, 'asked');
    const command = script(`echo "$1" >> '${asked}'; case $1 in *silent*) ;; *broken*) exit 1;; *) echo http://found/;; esac`);
    aptConfig({
      sources: '',
      conf: `Acquire::http::Proxy "http://all/"; Acquire::http::Proxy::one.example.test "http://one/"; Acquire::http::Proxy-Auto-Detect "${command}";`,
    });
    const proxy = await aptProxy();
    const hosts = ['one', 'm', 'm', 'silent', 'broken'];
    const answers: (string | undefined)[] = [];
    for (const host of hosts) answers.push(await proxy(`http://${host}.example.test/x`));
    expect(answers).toEqual(['http://one/', 'http://found/', 'http://found/', 'http://all/', 'http://all/']);
    expect(readFileSync(asked, 'utf8').trim().split('\n')).toEqual(
      ['m', 'silent', 'broken'].map((host) => `http://${host}.example.test/x`),
    );
  });
});

test('whatever a list of mirrors or a configuration says, what is taken from it are URLs and settings', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const uri of parseMirrorList(text)) expect(URL.canParse(uri)).toBe(true);
      for (const [name, value] of parseAptConfig(text.split('\n'))) expect([name, value]).not.toContain('');
    }),
  );
});
