import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { indexComment, indexText, lastingSignature, type PublicationIndex } from '../../src/publish/index-file.ts';
import { newKey, publicKeyLine } from '../../src/publish/key.ts';
import { minisignSignature } from '../../src/publish/minisign.ts';
import { sha256 } from '../../src/util/hash.ts';
import { type Called, pvgrub } from '../support/cli.ts';
import { serve } from '../support/http-server.ts';
import { hasJudge } from '../support/judges.ts';
import { lastingFolder } from '../support/lasting-folder.ts';
import { indexOf, makeArtifacts, publishTo } from '../support/published.ts';
import { type Site, site } from '../support/site.ts';
import { mountSmall } from '../support/small-disk.ts';
import { tempFolder } from '../support/temp-folder.ts';

const key = newKey();
const IMAGE = 'pv-grub-x86_64.gz';
const [artifacts, older, good] = [lastingFolder(), lastingFolder(), lastingFolder()];
let server: Site;
/** What the server gives out now. */
let given: string;

beforeAll(async () => {
  await makeArtifacts(older, 'pv-grub-4.17.4-x86_64', key, { size: 60_000 });
  await makeArtifacts(artifacts, 'pv-grub-4.17.5-x86_64', key, { size: 80_000 });
  await makeArtifacts(artifacts, 'pv-grub-4.17.5-x86_32', key, { size: 70_000 });
  await makeArtifacts(artifacts, 'pvgrub2-2.12-x86_64', key, { size: 50_000 });
  await publishTo(good, older, key);
  await publishTo(good, artifacts, key);
  server = await site(() => given);
});

beforeEach(() => {
  given = good;
  server.trick = undefined;
});

/** A system with a Xen, and an image that is installed there. */
function makeRoot(boot = 'usr/lib/xen-4.17/boot'): { root: string; installed: string; old: Buffer } {
  const root = tempFolder();
  const put = (path: string, content: string | Buffer) => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), content);
  };
  const old = Buffer.from('the old image');
  put(`${boot}/${IMAGE}`, old);
  for (const [name, text] of [
    ['type', 'xen'],
    ['version/major', '4'],
    ['version/minor', '17'],
    ['version/extra', '.5'],
  ] as const)
    put(`sys/hypervisor/${name}`, `${text}\n`);
  return { root, installed: join(root, boot, IMAGE), old };
}

/** A pull with state and cache of its own, unless given. */
function pull(args: string[], own = tempFolder(), by = publicKeyLine(key.public)): Promise<Called> {
  const env = { XDG_STATE_HOME: join(own, 'state'), XDG_CACHE_HOME: join(own, 'cache') };
  return pvgrub(['pull', ...args, '--from', server.url, '--key', by], { cwd: own, env });
}

const wanted = (id: string) => indexOf(good).images.find((image) => image.id === id) as PublicationIndex['images'][number];
const WIDE = 'pv-grub-4.17.5-x86_64';

describe('pull', () => {
  test('installs the image of the Xen that runs, keeps the one before, and takes it back', async () => {
    const { root, installed, old } = makeRoot();
    const own = tempFolder();
    const called = await pull(['host', '--root', root, '--install'], own);
    expect(called).toMatchObject({ code: 0, stdout: expect.stringContaining(`${installed}: ${WIDE}, `) });
    expect(sha256(readFileSync(installed))).toBe(wanted(WIDE).image.sha256);
    expect(readFileSync(`${installed}.previous`)).toEqual(old);
    const again = await pull(['--root', root, '--install'], own);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('there already') });
    expect(readFileSync(`${installed}.previous`)).toEqual(old);
    expect(await pvgrub(['verify', installed, '--key', publicKeyLine(key.public)])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('version:4.17.5 arch:x86_64'),
    });
    const back = () => pvgrub(['pull', '--roll-back', IMAGE, '--root', root]);
    expect(await back()).toMatchObject({ code: 0 });
    expect(readFileSync(installed)).toEqual(old);
    expect(existsSync(`${installed}.minisig`)).toBe(false);
    expect(await back()).toMatchObject({ code: 0 });
    expect(sha256(readFileSync(installed))).toBe(wanted(WIDE).image.sha256);
    expect(readdirSync(join(installed, '..')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test.each(['usr/lib/xen/boot', 'usr/libexec/xen/boot'])('finds %s', async (boot) => {
    const { root, installed } = makeRoot(boot);
    expect(await pull(['4.17-x86_64', '--root', root, '--install'])).toMatchObject({ code: 0 });
    expect(sha256(readFileSync(installed))).toBe(wanted(WIDE).image.sha256);
  });

  test('downloads both widths of a series, and several versions into folders of their own', async () => {
    const own = tempFolder();
    expect(await pull(['4.17', '--out', 'here'], own)).toMatchObject({ code: 0 });
    expect(readdirSync(join(own, 'here')).sort()).toEqual(['pv-grub-x86_32.gz', IMAGE].flatMap((name) => [name, `${name}.minisig`]).sort());
    expect(await pull(['pv-grub-4.17.*-x86_64', '--out', 'both'], own)).toMatchObject({ code: 0 });
    for (const version of ['4.17.4', '4.17.5']) expect(existsSync(join(own, 'both/pv-grub', version, 'x86_64', IMAGE))).toBe(true);
    const two = await pull(['pv-grub-4.17.*-x86_64', '--to', own], own);
    expect(two).toMatchObject({ code: 2, stderr: expect.stringContaining('choose one of them') });
  });

  test('goes on where a transfer was cut', async () => {
    const own = tempFolder();
    const bytes = readFileSync(join(good, wanted(WIDE).path, IMAGE));
    const half = `.${IMAGE}.${wanted(WIDE).image.sha256.slice(0, 16)}.part`;
    writeFileSync(join(own, half), bytes.subarray(0, 20_000));
    const before = server.requests.length;
    expect(await pull(['4.17-x86_64'], own)).toMatchObject({ code: 0 });
    expect(server.requests.slice(before).find(({ path }) => path.endsWith(IMAGE))?.headers.range).toBe('bytes=20000-');
    expect(readFileSync(join(own, IMAGE))).toEqual(bytes);
    // What was left is of another file: it is found out, and got anew.
    const other = tempFolder();
    writeFileSync(join(other, half), Buffer.alloc(20_000, 'x'));
    expect(await pull(['4.17-x86_64'], other)).toMatchObject({ code: 0 });
    expect(readFileSync(join(other, IMAGE))).toEqual(bytes);
  });

  test('what cannot be written or read is said, and is no fault of the program', async () => {
    const own = tempFolder();
    writeFileSync(join(own, 'file'), 'x');
    for (const args of [
      ['--to', 'no-such-folder'],
      ['--to', 'file'],
      ['--out', 'file'],
      ['--out', 'file/below'],
    ]) {
      const called = await pull(['4.17-x86_64', ...args], own);
      expect(called).toMatchObject({ code: 2, stderr: expect.stringContaining('[FILE_UNREADABLE]') });
    }
  });

  test('says what there is where nothing fits', async () => {
    expect(await pull(['pvgrub2-x86_32_pvh'])).toMatchObject({ code: 2, stderr: expect.stringContaining('pvgrub2 x86_64') });
    expect(await pull(['host', '--root', tempFolder()])).toMatchObject({ code: 2, stderr: expect.stringContaining('no Xen runs here') });
    expect(await pull(['4.17', '--install', '--root', tempFolder()])).toMatchObject({ code: 2, stderr: expect.stringContaining('--to') });
    expect(await pull(['4.18-x86_64'])).toMatchObject({ code: 0, stderr: expect.stringContaining('the nearest is pv-grub-4.17.5-x86_64') });
  });
});

describe('nothing wrong is installed', () => {
  /** Try to install; what was there must still be there, and nothing else. */
  async function refused(by?: string, own?: string): Promise<Called> {
    const { root, installed, old } = makeRoot();
    const called = await pull(['--root', root, '--install'], own, by);
    expect(readFileSync(installed)).toEqual(old);
    expect(readdirSync(join(installed, '..'))).toEqual([IMAGE]);
    expect(called.stderr).not.toContain('this is a fault');
    return called;
  }
  /** A copy of the publication, changed. */
  function changed(change: (folder: string) => void): void {
    given = tempFolder();
    cpSync(good, given, { recursive: true });
    change(given);
  }
  const imageAt = (folder: string, id = WIDE) => join(folder, wanted(id).path, wanted(id).image.name);
  /** Replace the index by one that a key has signed. */
  const signed =
    (change: (index: PublicationIndex) => object, by = key) =>
    (folder: string) => {
      const index = { ...indexOf(folder), key: publicKeyLine(by.public) };
      const next = { ...index, ...change(index) } as PublicationIndex;
      writeFileSync(join(folder, 'index.json'), indexText(next));
      writeFileSync(join(folder, 'index.json.minisig'), minisignSignature(Buffer.from(indexText(next)), by, indexComment(next)));
    };

  test.each<[string, (folder: string) => void, string]>([
    ['a changed image', (at) => writeFileSync(imageAt(at), Buffer.alloc(wanted(WIDE).image.size, 'x')), 'FILE_DIFFERS'],
    ['an image of another cell in its place', (at) => cpSync(imageAt(at, 'pv-grub-4.17.4-x86_64'), imageAt(at)), ''],
    [
      'an image of another cell in its place, signature and all',
      (at) => {
        for (const end of ['', '.minisig']) cpSync(`${imageAt(at, 'pv-grub-4.17.4-x86_64')}${end}`, `${imageAt(at)}${end}`);
      },
      'FILE_DIFFERS',
    ],
    [
      'a changed index',
      (at) => writeFileSync(join(at, 'index.json'), readFileSync(join(at, 'index.json'), 'utf8').replace('4.17.5', '4.17.6')),
      '',
    ],
    ['no index', (at) => writeFileSync(join(at, 'index.json'), ''), 'INDEX_INVALID'],
    ['an index by another key', signed(() => ({}), newKey()), 'SIGNATURE_INVALID'],
    [
      'an index that gives out an older image as a newer one, signature and all',
      (at) => {
        const [newer, old] = [wanted(WIDE), wanted('pv-grub-4.17.4-x86_64')];
        for (const { name } of [old.image, ...old.files]) cpSync(join(at, old.path, name), join(at, newer.path, name));
        signed(({ images }) => ({ images: images.map((one) => (one.id === WIDE ? { ...one, image: old.image, files: old.files } : one)) }))(
          at,
        );
      },
      'is for another image',
    ],
    [
      'an index with a path out of its folder',
      signed(({ images }) => ({ images: images.map((one) => ({ ...one, path: '../../../etc' })) })),
      'INDEX_INVALID',
    ],
    [
      'an index with a name out of its folder',
      signed(({ images }) => ({ images: images.map((one) => ({ ...one, image: { ...one.image, name: '../../x' } })) })),
      'INDEX_INVALID',
    ],
    ['an index that has expired', signed(() => ({ expires: '2026-01-01T00:00:00Z' })), 'INDEX_EXPIRED'],
  ])('%s', async (_what, change, code) => {
    changed(change);
    const called = await refused();
    expect([3, 6]).toContain(called.code);
    expect(called.stderr).toContain(code);
  });

  test('with another key than the publisher’s, or one that is no key', async () => {
    expect(await refused(publicKeyLine(newKey().public))).toMatchObject({ code: 6, stderr: expect.stringContaining('SIGNATURE_INVALID') });
    expect(await refused('RWnonsense')).toMatchObject({ code: 2 });
  });

  test('an old index that is played again, or the index of another project', async () => {
    const own = tempFolder();
    const { root } = makeRoot();
    changed(signed(({ serial }) => ({ serial: serial + 10 })));
    expect(await pull(['--root', root, '--install'], own)).toMatchObject({ code: 0 });
    given = good;
    expect(await refused(undefined, own)).toMatchObject({ code: 6, stderr: expect.stringContaining('INDEX_REPLAYED') });
    changed(signed(({ serial }) => ({ serial: serial + 20, publication: 'another' })));
    expect(await refused(undefined, own)).toMatchObject({ code: 6, stderr: expect.stringContaining('PUBLICATION_DIFFERS') });
  });

  test('a truncated download, and one from a server that lies about its length', async () => {
    const bytes = readFileSync(imageAt(good));
    const tricks: [(response: import('node:http').ServerResponse) => void, string][] = [
      [(response) => response.writeHead(200, { 'content-length': 1000 }).end(bytes.subarray(0, 1000)), 'FILE_DIFFERS'],
      [
        (response) => response.writeHead(200, { 'content-length': bytes.length + 1 }).end(Buffer.concat([bytes, Buffer.from('x')])),
        'SOURCE_TOO_LARGE',
      ],
      [(response) => response.writeHead(200).end(Buffer.concat([bytes, bytes])), 'SOURCE_TOO_LARGE'],
      [(response) => response.writeHead(200).end(''), 'FILE_DIFFERS'],
    ];
    for (const [answer, code] of tricks) {
      server.trick = (path, _request, response) => {
        if (!path.endsWith(IMAGE)) return false;
        answer(response);
        return true;
      };
      const called = await refused();
      expect([3, 6]).toContain(called.code);
      expect(called.stderr).toContain(code);
    }
  });

  test('an endless index', async () => {
    server.trick = (path, _request, response) => {
      if (path !== 'index.json') return false;
      response.writeHead(200);
      const chunk = Buffer.alloc(1 << 20, ' ');
      const more = () => void (response.writableEnded || response.destroyed || response.write(chunk, more));
      more();
      return true;
    };
    expect(await refused()).toMatchObject({ code: 3, stderr: expect.stringContaining('SOURCE_TOO_LARGE') });
  });

  test('a server that leads elsewhere: the right bytes are taken from there, others are not', async () => {
    let bytes = readFileSync(imageAt(good));
    const elsewhere = await serve((_request, response) => void response.writeHead(200, { 'content-length': bytes.length }).end(bytes));
    server.trick = (path, _request, response) => {
      if (!path.endsWith(IMAGE)) return false;
      response.writeHead(302, { location: `${elsewhere.url}/there` }).end();
      return true;
    };
    const { root, installed } = makeRoot();
    expect(await pull(['--root', root, '--install'])).toMatchObject({ code: 0 });
    expect(readFileSync(installed)).toEqual(bytes);
    bytes = Buffer.alloc(bytes.length, 'x');
    expect(await refused()).toMatchObject({ code: 6, stderr: expect.stringContaining('FILE_DIFFERS') });
    server.trick = (_path, request, response) => {
      response.writeHead(302, { location: request.url ?? '' }).end();
      return true;
    };
    expect((await refused()).code).toBe(3);
  });

  test.skipIf(!hasJudge('openssl'))('a server that leads from https to a place without it', async () => {
    const own = tempFolder();
    const request = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=localhost',
      '-keyout',
      'key',
      '-out',
      'cert',
    ];
    execFileSync('openssl', request, { cwd: own, stdio: 'ignore' });
    const secure = createServer({ key: readFileSync(join(own, 'key')), cert: readFileSync(join(own, 'cert')) }, (asked, response) => {
      const there = readFileSync(join(good, (asked.url as string).slice(1)));
      // All is as it should be, but for where the image is.
      if (asked.url?.endsWith(IMAGE)) response.writeHead(302, { location: `${server.url}${asked.url}` }).end();
      else response.writeHead(200).end(there);
    });
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    try {
      const url = `https://127.0.0.1:${(secure.address() as AddressInfo).port}`;
      const env = { XDG_STATE_HOME: join(own, 'state'), NODE_TLS_REJECT_UNAUTHORIZED: '0' };
      const args = ['pull', '4.17-x86_64', '--from', url, '--key', publicKeyLine(key.public), '--out', 'out'];
      const before = server.requests.length;
      const called = await pvgrub(args, { cwd: own, env });
      expect(called).toMatchObject({ code: 3, stderr: expect.stringContaining('leads from https to a place without it') });
      expect(server.requests.length).toBe(before);
      expect(existsSync(join(own, 'out', IMAGE))).toBe(false);
    } finally {
      secure.closeAllConnections();
      secure.close();
    }
  });

  test('a disk that is full while installing', async ({ skip }) => {
    const { root, installed, old } = makeRoot();
    const folder = join(installed, '..');
    const unmount = mountSmall(folder, '64k');
    if (!unmount) return skip('mounting a small file system is not allowed here');
    try {
      writeFileSync(installed, old);
      const called = await pull(['--root', root, '--install']);
      expect(called).toMatchObject({ code: 3, stderr: expect.stringContaining('STORE_DISK_FULL') });
      expect(readFileSync(installed)).toEqual(old);
      expect(readdirSync(folder)).toEqual([IMAGE]);
    } finally {
      unmount();
    }
  });
});

test('a reader between the new signature and the new index finds the one that belongs to the index it has', async () => {
  given = tempFolder();
  cpSync(good, given, { recursive: true });
  const index = readFileSync(join(given, 'index.json'));
  expect(existsSync(join(given, lastingSignature(sha256(index))))).toBe(true);
  writeFileSync(join(given, 'index.json.minisig'), minisignSignature(Buffer.from('the next index'), key, 'file:index.json'));
  expect(await pull(['4.17-x86_64'])).toMatchObject({ code: 0 });
});
