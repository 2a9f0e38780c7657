import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { productRoot } from '../../../src/catalog/load.ts';
import { download } from '../../../src/sources/origins/download.ts';
import { inExemptNetwork, isLoopback, namedProxies, proxyEnvironment, proxyFor, proxyUrl } from '../../../src/sources/origins/proxy.ts';
import { run } from '../../../src/util/process.ts';
import { httpProxy } from '../../support/http-proxy.ts';
import { tempFolder } from '../../support/tar-maker.ts';

const folder = tempFolder();
const fresh = () => join(mkdtempSync(join(folder, 'case-')), 'file');
const names = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'];

/** The variables of a test, and no others. */
function environment(env: Record<string, string>): void {
  for (const name of names) for (const one of [name, name.toUpperCase()]) vi.stubEnv(one, env[one]);
}
afterEach(() => {
  vi.unstubAllEnvs();
});

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterAll(() => void server.close());
  return (server.address() as AddressInfo).port;
}
const plain = await listening(createHttp((_request, response) => response.end('content')));

const tls = mkdtempSync(join(folder, 'tls-'));
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: tls, stdio: 'pipe' });
openssl(
  'req',
  '-x509',
  '-newkey',
  'ec',
  '-pkeyopt',
  'ec_paramgen_curve:P-256',
  '-nodes',
  '-keyout',
  'ca.key',
  '-out',
  'ca.pem',
  '-subj',
  '/CN=Test authority',
  '-days',
  '2',
);
openssl(
  'req',
  '-newkey',
  'ec',
  '-pkeyopt',
  'ec_paramgen_curve:P-256',
  '-nodes',
  '-keyout',
  'key.pem',
  '-out',
  'csr.pem',
  '-subj',
  '/CN=files.example.test',
);
writeFileSync(join(tls, 'names'), 'subjectAltName=DNS:files.example.test,DNS:localhost');
openssl('x509', '-req', '-in', 'csr.pem', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-out', 'cert.pem', '-days', '2', '-extfile', 'names');
const secure = await listening(
  createHttps({ key: readFileSync(join(tls, 'key.pem')), cert: readFileSync(join(tls, 'cert.pem')) }, (_request, response) =>
    response.end('secret'),
  ),
);

const options = { limit: 1000, retries: 0 };
const get = async (url: string, more: { proxy?: string } = {}) => {
  const file = fresh();
  await download(url, file, { ...options, ...more });
  return readFileSync(file, 'utf8');
};

describe('which proxy is taken', () => {
  const far = 'http://files.example.test/x';
  test.each([
    ['lower case before upper case', far, { http_proxy: 'http://a:1', HTTP_PROXY: 'http://b:1' }, 'http://a:1'],
    ['upper case where it stands alone', far, { HTTP_PROXY: 'http://b:1' }, 'http://b:1'],
    ['one that is empty in lower case says that there is none', far, { http_proxy: '', HTTP_PROXY: 'http://b:1' }, undefined],
    ['http_proxy for https where nothing else is set', 'https://files.example.test/x', { http_proxy: 'http://a:1' }, 'http://a:1'],
    ['https_proxy before it', 'https://files.example.test/x', { http_proxy: 'http://a:1', https_proxy: 'http://c:1' }, 'http://c:1'],
    [
      'an empty https_proxy says that there is none',
      'https://files.example.test/x',
      { http_proxy: 'http://a:1', https_proxy: '' },
      undefined,
    ],
    ['never https_proxy for http', far, { https_proxy: 'http://c:1' }, undefined],
    ['all_proxy for both', far, { all_proxy: 'http://d:1' }, 'http://d:1'],
    ['one without a scheme', far, { http_proxy: 'proxy:3128' }, 'http://proxy:3128'],
    ['a network in no_proxy', 'http://10.1.2.3/x', { http_proxy: 'http://a:1', no_proxy: '192.168.0.0/16, 10.0.0.0/8' }, undefined],
    ['another network', 'http://11.1.2.3/x', { http_proxy: 'http://a:1', no_proxy: '10.0.0.0/8' }, 'http://a:1'],
    ['a network of IPv6', 'http://[fd00::5]/x', { http_proxy: 'http://a:1', no_proxy: 'fd00::/8' }, undefined],
    ['an address in another form', 'http://[fd00::5]/x', { http_proxy: 'http://a:1', no_proxy: 'FD00:0:0::5' }, undefined],
    ['another address', 'http://10.0.0.2/x', { http_proxy: 'http://a:1', no_proxy: '10.0.0.1' }, 'http://a:1'],
    ['an address with another port', 'http://10.0.0.1/x', { http_proxy: 'http://a:1', no_proxy: '10.0.0.1:8080' }, 'http://a:1'],
    ['the subdomains of a domain', far, { http_proxy: 'http://a:1', no_proxy: 'x *.example.test' }, undefined],
    ['the same, and the domain itself', 'http://example.test/', { http_proxy: 'http://a:1', no_proxy: '*.example.test' }, 'http://a:1'],
    ['a URL in upper case', 'HTTPS://files.example.test/', { http_proxy: 'http://a:1', https_proxy: 'http://c:1' }, 'http://c:1'],
    ['a proxy in upper case', far, { http_proxy: 'HTTP://a:1' }, 'http://a:1'],
    ['a domain', far, { http_proxy: 'http://a:1', NO_PROXY: '.example.test' }, undefined],
    ['a domain of a like name', 'http://myexample.test/', { http_proxy: 'http://a:1', NO_PROXY: 'example.test' }, 'http://a:1'],
    ['a host with another port', far, { http_proxy: 'http://a:1', no_proxy: 'files.example.test:8080' }, 'http://a:1'],
    ['a host with its port', far, { http_proxy: 'http://a:1', no_proxy: 'files.example.test:80' }, undefined],
    ['everything', far, { http_proxy: 'http://a:1', no_proxy: '*' }, undefined],
  ])('%s', (_what, url, env, proxy) => {
    expect(proxyFor(url, env)?.url).toBe(proxy);
  });

  test.each(['127.0.0.1', '127.9.9.9', '[::1]', '[0:0::1]', '[::ffff:127.1.2.3]', 'localhost', 'registry.localhost', 'LOCALHOST.'])(
    '%s is never proxied',
    (host) => {
      expect(isLoopback(`http://${host}:5000/`)).toBe(true);
      expect(proxyFor(`https://${host}:5000/`, { https_proxy: 'http://a:1', http_proxy: 'http://a:1' })).toBeUndefined();
    },
  );

  test.each(['128.0.0.1', 'localhost.example.test', '127.example.test', '[::2]', '[::ffff:0.127.0.1]'])(
    '%s is not this machine',
    (host) => {
      expect(isLoopback(`http://${host}/`)).toBe(false);
    },
  );

  test('whatever no_proxy says, nothing is thrown', () => {
    fc.assert(
      fc.property(fc.string(), fc.ipV4(), (text, host) => {
        expect(typeof inExemptNetwork(`http://${host}/`, { no_proxy: text })).toBe('boolean');
        proxyFor(`http://${host}/`, { no_proxy: text, http_proxy: 'a:1' });
      }),
    );
  });

  test('text that is not a URL goes through no proxy', () => {
    expect(proxyFor('http://a b/', { http_proxy: 'a:1' })).toBeUndefined();
  });

  test('an address of IPv6 is exempt in every form that it has', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const { hostname } = new URL(`http://[${address}]/`);
        for (const no_proxy of [address, address.toUpperCase(), `[${address}]`, `${address}/128`])
          expect(proxyFor(`http://${hostname}/`, { http_proxy: 'a:1', no_proxy })).toBeUndefined();
      }),
    );
  });

  test('any user name and password comes to the proxy as it was given, escaped or not', () => {
    const text = fc.string({ minLength: 1 }).filter((one) => !/[\s:%]/.test(one));
    fc.assert(
      fc.property(text, text, fc.boolean(), (user, password, encoded) => {
        const given = encoded ? `${encodeURIComponent(user)}:${encodeURIComponent(password)}` : `${user}:${password}`;
        const { username, password: got, host } = new URL(proxyUrl(`${given}@proxy:3128`));
        expect([decodeURIComponent(username), decodeURIComponent(got), host]).toEqual([user, password, 'proxy:3128']);
      }),
      { examples: [['u', '50%off', false]] },
    );
  });

  test('git is given the same', () => {
    const env = { HTTP_PROXY: 'u:p@proxy:1', no_proxy: '10.0.0.0/8' };
    expect(proxyEnvironment('https://files.example.test/', env)).toMatchObject({ https_proxy: 'http://u:p@proxy:1', no_proxy: undefined });
    expect(proxyEnvironment('https://10.0.0.1/', env)).toMatchObject({ https_proxy: undefined, HTTP_PROXY: undefined, no_proxy: '*' });
    expect(namedProxies(env).https?.variable).toBe('HTTP_PROXY');
  });
});

describe('a request', () => {
  test('for this machine goes there itself, also where a redirect leads to it', async () => {
    const proxy = await httpProxy(
      await listening(createHttp((_request, response) => response.writeHead(302, { location: `http://127.0.0.1:${plain}/x` }).end())),
    );
    environment({ http_proxy: `http://user:secret@${proxy.address}` });
    expect(await get(`http://127.0.0.1:${plain}/x`)).toBe('content');
    expect(proxy.asked).toEqual([]);
    expect(await get('http://files.example.test/y')).toBe('content');
    expect(proxy.asked).toEqual(['GET http://files.example.test/y']);
  });

  test('for elsewhere goes through the proxy, with its password', async () => {
    const proxy = await httpProxy(plain);
    environment({ HTTP_PROXY: `us%er:50%off@${proxy.address}` });
    expect(await get('http://files.example.test/x')).toBe('content');
    expect(proxy.users).toEqual(['us%er:50%off']);
  });

  test('by https goes through http_proxy where nothing else is named, to a server that SSL_CERT_FILE makes trusted', async () => {
    const proxy = await httpProxy(secure);
    environment({ http_proxy: proxy.address });
    const failed = await get('https://files.example.test/x').catch((error) => error);
    expect(failed).toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: expect.stringContaining('authority that this machine does not trust'),
    });
    expect(failed.hint).toContain('update-ca-certificates');
    vi.stubEnv('SSL_CERT_FILE', join(tls, 'ca.pem'));
    expect(await get('https://files.example.test/x')).toBe('secret');
    expect(proxy.asked.at(-1)).toBe('CONNECT files.example.test:443');
    await expect(get('https://other.example.test/x')).rejects.toMatchObject({ message: expect.stringContaining('for another name') });
  });

  test('goes through the proxy that is given for it, or through none, whatever the environment says', async () => {
    const [one, two] = [await httpProxy(plain), await httpProxy(plain)];
    environment({ http_proxy: one.address });
    expect(await get('http://files.example.test/x', { proxy: `http://${two.address}` })).toBe('content');
    await expect(get('http://files.example.invalid/x', { proxy: 'DIRECT' })).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    expect([one.asked, two.asked]).toEqual([[], ['GET http://files.example.test/x']]);
  });
});

describe('a proxy that fails is named, without its password', () => {
  test('and one that brings the server’s own refusal is not blamed', async () => {
    const missing = await listening(createHttp((_request, response) => response.writeHead(404).end()));
    const proxy = await httpProxy(missing);
    environment({ http_proxy: `http://${proxy.address}` });
    const error = await get('http://files.example.test/x').catch((reason) => reason);
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', message: 'http://files.example.test/x: HTTP 404', hint: undefined });
    expect(proxy.asked).toHaveLength(1);
  });

  test.each([
    ['refuses connections', async () => '127.0.0.1:1', 'connection refused'],
    ['wants a password', async () => (await httpProxy(plain, 407)).address, '407'],
    ['does not know the place', async () => 'proxy.invalid:3128', 'no such host'],
  ])('one that %s', async (_what, address, why) => {
    const at = await address();
    environment({ http_proxy: `http://user:secret@${at}` });
    for (const url of ['http://files.example.test/x', 'https://files.example.test/x']) {
      const error = await get(url).catch((reason) => reason);
      expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', exit: 3 });
      expect(error.message).toContain(why);
      expect(error.message).toContain(`through the proxy http://${at}, named by http_proxy`);
      expect(`${error.message} ${error.hint}`).not.toContain('secret');
      expect(error.hint).toContain('http_proxy');
    }
  });

  test.each([
    [403, 'a host that it refuses'],
    [407, 'a wrong password, which could lock the account'],
  ])('one that answers CONNECT with %i is asked once: %s', async (status) => {
    const proxy = await httpProxy(plain, status);
    environment({ https_proxy: `http://user:secret@${proxy.address}` });
    const error = await download('https://files.example.test/x', fresh(), { limit: 1000, retries: 2, backoff: 1 }).catch(
      (reason) => reason,
    );
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', hint: expect.stringContaining('https_proxy') });
    expect(error.message).toContain(`${status}`);
    expect(error.message).toContain(`through the proxy http://${proxy.address}, named by https_proxy`);
    expect(proxy.asked).toEqual(['CONNECT files.example.test:443']);
  });

  test('one that answers CONNECT with 503 is asked again', async () => {
    const proxy = await httpProxy(plain, 503);
    environment({ https_proxy: proxy.address });
    const error = await download('https://files.example.test/x', fresh(), { limit: 1000, retries: 2, backoff: 1 }).catch(
      (reason) => reason,
    );
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', got: '3 tries, all failed' });
    expect(proxy.asked).toHaveLength(3);
  });

  test('text that is not a URL is reported as a failed download', async () => {
    environment({ http_proxy: 'http://user:secret@proxy:1' });
    await expect(get('http://a b/')).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
  });

  test.each(['ftp://proxy:1', 'http://', 'http://a b:1'])('one that is not a proxy: %s', async (value) => {
    environment({ http_proxy: value });
    const error = await get('http://files.example.test/x').catch((reason) => reason);
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', message: expect.stringContaining('http_proxy names the proxy') });
  });
});

test.each([
  [
    'which a redirect leads to',
    'http://user:secret@127.0.0.1:1',
    'http://files.example.test/x',
    'through the proxy http://127.0.0.1:1, named by http_proxy',
  ],
  ['but not one that was not asked', undefined, 'http://127.0.0.1:1/x', 'connection refused'],
])('a proxy that fails is named, %s', async (_what, given, location, said) => {
  const redirecting = await listening(createHttp((_request, response) => void response.writeHead(302, { location }).end()));
  const proxy = await httpProxy(redirecting);
  environment({ http_proxy: given ?? proxy.address });
  const first = given === undefined ? 'http://files.example.test/' : `http://127.0.0.1:${redirecting}/`;
  const error = await get(first).catch((reason) => reason);
  expect(error.message.endsWith(given === undefined ? said : `(${said})`)).toBe(true);
});

describe('certificates', () => {
  test.each([
    ['is not there', () => join(folder, 'missing.pem'), 'no such file'],
    ['has none', () => join(tls, 'key.pem'), 'contains no PEM certificate'],
  ])('a SSL_CERT_FILE that %s is an error that names it', async (_what, file, why) => {
    environment({});
    vi.stubEnv('SSL_CERT_FILE', file());
    const error = await get(`https://localhost:${secure}/x`).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', exit: 3, message: expect.stringContaining(file()) });
    expect(error.message).toContain(why);
  });

  test("of the system's store are trusted in the process, without any option of Node", async () => {
    const module = JSON.stringify(pathToFileURL(join(productRoot, 'src/sources/origins/download.ts')).href);
    const file = fresh();
    const script = `const {download}=await import(${module});await download('https://localhost:${secure}/x',${JSON.stringify(file)},{limit:1000,retries:0})`;
    const folderOf = mkdtempSync(join(folder, 'store-'));
    // The store of the system, as OpenSSL finds it: files by the hash of their subject.
    const hash = execFileSync('openssl', ['x509', '-hash', '-noout', '-in', join(tls, 'ca.pem')], { encoding: 'utf8' }).trim();
    writeFileSync(join(folderOf, `${hash}.0`), readFileSync(join(tls, 'ca.pem')));
    const env = { PATH: process.env['PATH'], HOME: folder };
    const args = ['--input-type=module', '-e', script];
    expect((await run(process.execPath, args, { env })).code).not.toBe(0);
    const answer = await run(process.execPath, args, { env: { ...env, SSL_CERT_DIR: folderOf } });
    expect(answer).toMatchObject({ code: 0 });
    expect(readFileSync(file, 'utf8')).toBe('secret');
    rmSync(file);
  });
});
