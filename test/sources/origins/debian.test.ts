import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type DebianContext, debianFile } from '../../../src/sources/origins/debian.ts';
import { addSuite, hasGpg, type Mirror, makeKey, type PoolFile } from '../../support/debian-mirror.ts';
import { httpProxy } from '../../support/http-proxy.ts';
import { sendWithRange, serve } from '../../support/http-server.ts';
import { compress, tempFolder } from '../../support/tar-maker.ts';

const gpgThere = hasGpg();
const why = gpgThere ? '' : ' (skipped: no gpg and gpgv here)';

describe.skipIf(!gpgThere)(`a file of a Debian source package${why}`, async () => {
  const folder = tempFolder();
  if (!gpgThere) return;
  const key = makeKey(folder, 'archive');
  const stranger = makeKey(folder, 'stranger');
  afterAll(() => {
    for (const one of [key, stranger]) one.stop();
  });
  const xen: PoolFile = { package: 'xen', version: '4.17.5-1', file: 'xen_4.17.5.orig.tar.xz', bytes: Buffer.alloc(50_000, 'xen source ') };
  const other: PoolFile = { package: 'xen-tools', version: '1', file: 'xen-tools_1.tar.xz', bytes: Buffer.from('other') };
  const origin = { package: 'xen', file: xen.file, suites: ['stable'] };
  let count = 0;

  /** Serve a mirror that the test made, and ask it for the file. */
  async function ask(make: (mirror: Mirror) => void, more: Partial<DebianContext> & { suites?: string[] } = {}) {
    const mirror: Mirror = new Map();
    make(mirror);
    const server = await serve((request, response) => {
      const content = mirror.get(request.url ?? '');
      if (content) sendWithRange(request, response, content);
      else response.writeHead(404).end();
    });
    const file = join(folder, `file-${count++}`);
    const warnings: string[] = [];
    const context: DebianContext = {
      ...{ limit: 10 ** 7, backoff: 1, retries: 1, cache: join(folder, `cache-${count}`), mirrors: [server.url] },
      ...{ warn: (text: string) => warnings.push(text), now: Date.now(), keyring: key.keyring, pinned: false, ...more },
    };
    const result = await debianFile({ ...origin, suites: more.suites ?? origin.suites }, file, context).catch((error) => error);
    const cached = existsSync(context.cache) ? readdirSync(context.cache) : [];
    return { result, file, warnings, server, url: server.url, context, mirror, cached };
  }
  const good = (mirror: Mirror) => addSuite(mirror, 'stable', key, [other, xen]);
  /** A suite that calls itself something else. */
  const rename = (mirror: Mirror, asked: string, suite: string, codename: string) => {
    addSuite(mirror, asked, key, [xen]);
    change(mirror, /InRelease/, (bytes) => {
      const [, text = ''] = /\n\n([\s\S]*)-----BEGIN PGP SIGNATURE/.exec(bytes.toString()) ?? [];
      return Buffer.from(key.clearsign(text.replace(/^Codename: .*$/m, `Suite: ${suite}\nCodename: ${codename}`)));
    });
  };
  const change = (mirror: Mirror, path: RegExp, edit: (bytes: Buffer) => Uint8Array) => {
    for (const [name, content] of mirror) if (path.test(name)) mirror.set(name, edit(Buffer.from(content)));
  };

  test('is found by the signed indices, by hash, with suite and version', async () => {
    const { result, file, server, warnings } = await ask(good);
    expect(result).toEqual({ suite: 'stable', version: '4.17.5-1' });
    expect(readFileSync(file).equals(xen.bytes)).toBe(true);
    expect(server.requests.map(({ path }) => path.replace(/[0-9a-f]{64}/, 'HASH'))).toEqual([
      '/dists/stable/InRelease',
      '/dists/stable/main/source/by-hash/SHA256/HASH',
      `/pool/main/x/xen/${xen.file}`,
    ]);
    expect(warnings).toEqual([]);
  });

  test('is found where the mirror has no by-hash', async () => {
    const { result } = await ask((mirror) => addSuite(mirror, 'stable', key, [xen], { byHash: false }));
    expect(result).toEqual({ suite: 'stable', version: '4.17.5-1' });
  });

  test('takes the index from the cache the second time, unless that has been changed', async () => {
    const { context, server, file } = await ask(good);
    await debianFile(origin, `${file}-2`, context);
    expect(server.requests.filter(({ path }) => path.includes('by-hash'))).toHaveLength(1);
    for (const name of readdirSync(context.cache)) writeFileSync(join(context.cache, name), compress('xz', Buffer.from('Package: evil\n')));
    await debianFile(origin, `${file}-3`, context);
    expect(server.requests.filter(({ path }) => path.includes('by-hash'))).toHaveLength(2);
  });

  test('signed by a key that is not in the keyring is refused', async () => {
    const { result, file, url, server, cached } = await ask((mirror) => addSuite(mirror, 'stable', stranger, [xen]));
    expect(result).toMatchObject({ code: 'DEBIAN_UNVERIFIED', exit: 3 });
    expect(result.message).toContain(`${url}/dists/stable/InRelease is not signed`);
    expect(existsSync(file)).toBe(false);
    expect(server.requests).toHaveLength(1);
    expect(cached).toEqual([]);
  });

  test.each<[string, (text: string) => string]>([
    ['a changed line', (text) => text.replace('Codename: stable', 'Codename: stible')],
    ['no signature', (text) => text.replace(/-----BEGIN PGP SIGNATURE[\s\S]*/, '')],
    ['not even the form of one', () => 'Origin: Test\nCodename: stable\n'],
    ['a stranger’s message before the true one', (text) => `${stranger.clearsign(`Codename: evil\nSHA256:\n`)}${text}`],
  ])('with %s in InRelease is refused', async (_what, edit) => {
    const { result, file } = await ask((mirror) => {
      good(mirror);
      change(mirror, /InRelease/, (bytes) => Buffer.from(edit(bytes.toString())));
    });
    expect(result).toMatchObject({ code: 'DEBIAN_UNVERIFIED' });
    expect(existsSync(file)).toBe(false);
  });

  test.each<[string, (text: string, listing: string) => string]>([
    ['text before the signed message', (text, listing) => `${listing}\n${text}`],
    ['text after the signed message', (text, listing) => `${text}\n${listing}`],
    ['a stranger’s message after the true one', (text, listing) => `${text}${stranger.clearsign(listing)}`],
  ])('%s counts for nothing', async (_what, edit) => {
    const { result, file } = await ask((mirror) => {
      good(mirror);
      const listing = `SHA256:\n ${'2'.repeat(64)} 1 main/source/Sources.xz\n`;
      change(mirror, /InRelease/, (bytes) => Buffer.from(edit(bytes.toString(), listing)));
    });
    // gpgv versions differ in what they refuse; none may hand on what is not signed.
    if (result.code !== 'DEBIAN_UNVERIFIED') {
      expect(result).toEqual({ suite: 'stable', version: '4.17.5-1' });
      expect(readFileSync(file).equals(xen.bytes)).toBe(true);
    }
  });

  test('signed by a key that was revoked is refused', async () => {
    const revoked = makeKey(folder, 'revoked');
    const { result } = await ask(
      (mirror) => {
        addSuite(mirror, 'stable', revoked, [xen]);
        const [, fingerprint = ''] = /^fpr:+([0-9A-F]+):/m.exec(revoked.gpg(['--with-colons', '--list-keys']).toString()) ?? [];
        const certificate = readFileSync(join(folder, 'gpg-revoked', 'openpgp-revocs.d', `${fingerprint}.rev`), 'utf8');
        revoked.gpg(['--import'], certificate.replace(':-----BEGIN', '-----BEGIN'));
        writeFileSync(revoked.keyring, revoked.gpg(['--export']));
        revoked.stop();
      },
      { keyring: join(folder, 'revoked.gpg') },
    );
    expect(result).toMatchObject({ code: 'DEBIAN_UNVERIFIED' });
  });

  test('is refused where the index is not the one InRelease names, and that is not cached', async () => {
    const { result, cached } = await ask((mirror) => {
      good(mirror);
      change(mirror, /by-hash/, () => compress('xz', Buffer.from('Package: xen\n')));
    });
    expect(result).toMatchObject({ code: 'DEBIAN_UNVERIFIED', expected: expect.any(String), got: expect.any(String) });
    expect(cached).toEqual([]);
  });

  test('is refused, and removed, where its bytes are not what the index says', async () => {
    const { result, file } = await ask((mirror) => {
      good(mirror);
      change(mirror, /pool.*xen_/, (bytes) => bytes.fill('y', 100, 101));
    });
    expect(result).toMatchObject({ code: 'SOURCE_MISMATCH', exit: 3 });
    expect(existsSync(file)).toBe(false);
  });

  test('in an expired suite is refused where no pin proves it, and warned of where one does', async () => {
    const expired = (mirror: Mirror) => addSuite(mirror, 'stable', key, [xen], { validUntil: new Date('2020-01-02T03:04:05Z') });
    const refused = await ask(expired);
    expect(refused.result).toMatchObject({ code: 'DEBIAN_UNVERIFIED', message: expect.stringContaining('expired on 2020-01-02') });
    expect(refused.warnings).toEqual([]);
    const taken = await ask(expired, { pinned: true });
    expect(taken.result).toMatchObject({ suite: 'stable' });
    expect(taken.warnings).toEqual([expect.stringContaining('expired on 2020-01-02')]);
    const before = await ask(expired, { now: Date.parse('2020-01-02T03:04:04Z') });
    expect([before.result.suite, before.warnings]).toEqual(['stable', []]);
  });

  test('is looked for in one suite after the other', async () => {
    const { result } = await ask(
      (mirror) => {
        addSuite(mirror, 'stable', key, [other]);
        addSuite(mirror, 'testing', key, [xen]);
      },
      { suites: ['gone', 'stable', 'testing'] },
    );
    expect(result).toEqual({ suite: 'testing', version: '4.17.5-1' });
  });

  test('that no suite lists is unavailable, and every answer is told', async () => {
    const { result, url } = await ask((mirror) => addSuite(mirror, 'stable', key, [other]), { suites: ['gone', 'stable'] });
    expect(result).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(result.message).toBe(`gone: ${url}/dists/gone/InRelease: HTTP 404; stable does not list it`);
  });

  test('is taken from the next mirror where the first lies', async () => {
    const lying = await ask((mirror) => addSuite(mirror, 'stable', stranger, [xen]));
    const { result, server } = await ask(good);
    expect(result.suite).toBe('stable');
    const file = join(folder, 'second-mirror');
    const context = { ...lying.context, mirrors: [lying.url, server.url] };
    expect(await debianFile(origin, file, context)).toEqual({ suite: 'stable', version: '4.17.5-1' });
    expect(readFileSync(file).equals(xen.bytes)).toBe(true);
  });

  test.each([
    ['sid', 'unstable', 'sid'],
    ['testing', 'testing', 'forky'],
    ['forky', 'testing', 'forky'],
  ])('in %s may be asked for by suite or codename', async (asked, suite, codename) => {
    const { result } = await ask((mirror) => rename(mirror, asked, suite, codename), { suites: [asked] });
    expect(result).toEqual({ suite: asked, version: '4.17.5-1' });
  });

  test('is refused where the mirror answers with the signed index of another suite', async () => {
    const { result, file, server } = await ask((mirror) => rename(mirror, 'sid', 'oldstable', 'bookworm'), { suites: ['sid'] });
    expect(result).toMatchObject({ code: 'DEBIAN_UNVERIFIED', expected: 'suite sid', got: 'suite oldstable, codename bookworm' });
    expect(existsSync(file)).toBe(false);
    expect(server.requests).toHaveLength(1);
  });

  test('that failed its check somewhere says so, whatever the other suites answered', async () => {
    const { result, url } = await ask((mirror) => addSuite(mirror, 'stable', stranger, [xen]), { suites: ['gone', 'stable', 'lost'] });
    expect(result).toMatchObject({ code: 'DEBIAN_UNVERIFIED', hint: expect.stringContaining('debian-archive-keyring') });
    for (const part of [`gone: ${url}`, 'InRelease is not signed', `lost: ${url}`]) expect(result.message).toContain(part);
  });

  test('from a mirror with a password does not tell that in an error or a warning', async () => {
    const secret = async (make: (mirror: Mirror) => void, more: Partial<DebianContext> = {}) => {
      const { context, url, file, warnings } = await ask(make, more);
      const mirrors = [url.replace('//', '//user:secret@')];
      const result = await debianFile(origin, `${file}-secret`, { ...context, mirrors }).catch((error) => error);
      return { result, text: [result.message, result.hint, result.expected, result.got, ...warnings].join('\n') };
    };
    const expired = (mirror: Mirror) => addSuite(mirror, 'stable', key, [xen], { validUntil: new Date(0) });
    const cases = [
      await secret((mirror) => addSuite(mirror, 'stable', stranger, [xen])),
      await secret((mirror) => rename(mirror, 'stable', 'other', 'other')),
      await secret(expired),
      await secret((mirror) => {
        good(mirror);
        change(mirror, /by-hash/, () => Buffer.from('other'));
      }),
      await secret((mirror) => mirror.set('/dists/stable/InRelease', Buffer.from(key.clearsign('Codename: stable\n')))),
    ];
    for (const { result, text } of cases) {
      expect([text, result.code]).toEqual([expect.stringContaining('/dists/stable'), 'DEBIAN_UNVERIFIED']);
      expect(text).not.toMatch(/secret|user/);
    }
    const taken = await secret(expired, { pinned: true });
    expect([taken.result.suite, taken.text]).toEqual(['stable', expect.stringContaining('expired on 1970-01-01')]);
    expect(taken.text).not.toMatch(/secret|user/);
  });

  test('says that the disk is full where an index cannot be kept, and leaves nothing half', async (test) => {
    const small = join(folder, 'small');
    mkdirSync(small);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', small], { stdio: 'pipe' });
    } catch {
      return test.skip('no right to mount a file system here');
    }
    try {
      let asked = 0;
      const { context } = await ask(good);
      // The keyring is asked for the third time just before InRelease is written: then the disk becomes full.
      const filling = Object.defineProperty({ ...context, cache: small }, 'keyring', {
        enumerable: true,
        get: () => {
          if (++asked === 3) expect(() => writeFileSync(join(small, 'other'), Buffer.alloc(100_000))).toThrow('ENOSPC');
          return key.keyring;
        },
      });
      const error = await debianFile(origin, join(folder, 'small-file'), filling).catch((reason) => reason);
      expect(error).toMatchObject({ code: 'STORE_DISK_FULL', exit: 3, message: expect.stringContaining(small) });
      expect(readdirSync(small)).toEqual(['other']);
    } finally {
      execFileSync('umount', [small]);
    }
  });

  test('without a keyring is refused with the package to install, before anything is fetched', async () => {
    const { result, server } = await ask(good, { keyring: join(folder, 'missing.gpg') });
    expect(result).toMatchObject({
      code: 'DEBIAN_UNVERIFIED',
      exit: 3,
      message: expect.stringContaining("Debian's keyring is not on this machine"),
      hint: 'apt-get install debian-archive-keyring',
    });
    expect(server.requests).toEqual([]);
  });

  test('from a mirror that does not answer is looked for at the next one, and that is said once', async () => {
    const gone = 'http://127.0.0.1:1';
    const answering = await ask(good);
    const { result } = await ask(good, { mirrors: [gone, answering.url], suites: ['older', 'stable'] });
    expect(result).toMatchObject({ suite: 'stable' });
    const { result: error } = await ask(() => {}, { mirrors: [gone], suites: ['older', 'stable'], retries: 0 });
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(error.message.match(/connection refused/g)).toHaveLength(1);
  });

  test('is reached through the proxy that apt is set up with', async () => {
    const mirror: Mirror = new Map();
    good(mirror);
    const server = await serve((request, response) => {
      const content = mirror.get(request.url ?? '');
      if (content) sendWithRange(request, response, content);
      else response.writeHead(404).end();
    });
    const proxy = await httpProxy(Number(new URL(server.url).port));
    const aptProxy = async () => `http://${proxy.address}`;
    const { result } = await ask(good, { mirrors: ['http://mirror.example.test/'.replace(/\/$/, '')], aptProxy });
    expect(result).toEqual({ suite: 'stable', version: '4.17.5-1' });
    expect(proxy.asked[0]).toBe('GET http://mirror.example.test/dists/stable/InRelease');
    expect(proxy.asked.at(-1)).toContain('/pool/main/x/xen/');
  });

  test('without any mirror is unavailable, with what to set', async () => {
    const { result } = await ask(good, { mirrors: [] });
    expect(result).toMatchObject({ code: 'SOURCE_UNAVAILABLE', hint: expect.stringContaining('PVGRUB_DEBIAN_MIRROR') });
  });
});
