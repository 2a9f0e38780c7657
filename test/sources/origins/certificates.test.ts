import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { join } from 'node:path';
import { createServer as createTls } from 'node:tls';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { download } from '../../../src/sources/origins/download.ts';
import { httpProxy } from '../../support/http-proxy.ts';
import { tempFolder } from '../../support/tar-maker.ts';

const folder = tempFolder();
const fresh = () => join(mkdtempSync(join(folder, 'case-')), 'file');
const at = (name: string) => join(folder, name);
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
const newKey = (name: string) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
const pair = (name: string) => ({ key: readFileSync(at(`${name}.key`)), cert: readFileSync(at(`${name}.pem`)) });

openssl('req', '-x509', ...newKey('ca'), '-out', 'ca.pem', '-subj', '/CN=Test authority', '-days', '2');

/** A certificate of the test's authority for DNS names. */
function issued(name: string, dns: string, days = 2) {
  openssl('req', ...newKey(name), '-out', `${name}.csr`, '-subj', '/CN=server');
  writeFileSync(at('names'), `subjectAltName=DNS:${dns}`);
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-extfile', 'names', '-days', String(days)];
  openssl('x509', '-req', '-in', `${name}.csr`, ...signer, '-out', `${name}.pem`);
  return pair(name);
}

/** A certificate that nobody but itself has signed. */
function selfSigned(name: string) {
  const localhost = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  openssl('req', '-x509', ...newKey(name), '-out', `${name}.pem`, ...localhost, '-days', '2');
  return pair(name);
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterAll(() => void server.close());
  return (server.address() as AddressInfo).port;
}
const certificates = {
  good: issued('good', 'localhost,DNS:files.example.test'),
  expired: issued('expired', 'localhost', -1),
  other: issued('other', 'other.example.test'),
  own: selfSigned('own'),
};
const serving = (name: keyof typeof certificates) =>
  listening(createHttps(certificates[name], (_request, response) => response.end('secret')));
const [good, expired, other, own] = await Promise.all([serving('good'), serving('expired'), serving('other'), serving('own')]);
const plain = await listening(createHttp((_request, response) => response.end('content')));

/** TLS in front of a server of this machine. */
const withTls = (name: keyof typeof certificates, address: string) =>
  listening(
    createTls(certificates[name], (client) => {
      const onward = connect(Number(address.split(':')[1]), '127.0.0.1');
      client.on('error', () => onward.destroy());
      onward.on('error', () => client.destroy());
      client.pipe(onward);
      onward.pipe(client);
    }),
  );

/** The variables of a test, and no others. */
function environment(env: Record<string, string>): void {
  const proxies = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [name, name.toUpperCase()]);
  for (const name of [...proxies, 'SSL_CERT_FILE']) vi.stubEnv(name, env[name]);
}
afterEach(() => {
  vi.unstubAllEnvs();
});

const get = async (url: string) => {
  const file = fresh();
  await download(url, file, { limit: 1000, retries: 1, backoff: 1 });
  return readFileSync(file, 'utf8');
};
const failure = (url: string) => get(url).catch((error: unknown) => error) as Promise<{ message: string; hint: string; got?: string }>;

describe('a server whose certificate proves nothing is an error that says why and what to try', () => {
  const trusting = { SSL_CERT_FILE: at('ca.pem') };
  test.each([
    ['of an unknown authority', good, {}, 'authority that this machine does not trust', 'update-ca-certificates'],
    ['signed by itself', own, trusting, 'self-signed (DEPTH_ZERO_SELF_SIGNED_CERT)', 'SSL_CERT_FILE'],
    ['that has expired', expired, trusting, 'has expired (CERT_HAS_EXPIRED)', 'clock'],
    ['for another name', other, trusting, 'for another name (ERR_TLS_CERT_ALTNAME_INVALID)', 'the name that the certificate is for'],
  ])('one %s', async (_what, port, env, why, hint) => {
    environment(env);
    const error = await failure(`https://localhost:${port}/x`);
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', exit: 3, message: expect.stringContaining(why) });
    expect(error.message).toContain(`https://localhost:${port}/x`);
    expect(error.hint).toContain(hint);
    // A further try cannot help.
    expect(error.got).toBeUndefined();
  });

  test('one of an authority in SSL_CERT_FILE is trusted', async () => {
    environment(trusting);
    expect(await get(`https://localhost:${good}/x`)).toBe('secret');
  });
});

describe('a proxy that is asked by https', () => {
  test.each(['https', 'HTTPS'])('is trusted by SSL_CERT_FILE, for http and for https URLs (%s://)', async (scheme) => {
    const [toPlain, toSecure] = [await httpProxy(plain), await httpProxy(good)];
    environment({
      http_proxy: `${scheme}://localhost:${await withTls('good', toPlain.address)}`,
      https_proxy: `${scheme}://localhost:${await withTls('good', toSecure.address)}`,
      SSL_CERT_FILE: at('ca.pem'),
    });
    expect(await get('http://files.example.test/x')).toBe('content');
    expect(await get('https://files.example.test/x')).toBe('secret');
    expect([toPlain.asked, toSecure.asked]).toEqual([['GET http://files.example.test/x'], ['CONNECT files.example.test:443']]);
  });

  test.each([
    ['of an unknown authority', 'good', {}, 'authority that this machine does not trust', 'SSL_CERT_FILE'],
    ['for another name', 'other', { SSL_CERT_FILE: at('ca.pem') }, "the proxy's certificate is for another name", 'the certificate is for'],
  ] as const)('and has a certificate %s, is an error that names it', async (_what, certificate, env, why, hint) => {
    const proxy = await httpProxy(plain);
    const address = `localhost:${await withTls(certificate, proxy.address)}`;
    environment({ http_proxy: `https://user:hidden@${address}`, ...env });
    for (const url of ['http://files.example.test/x', 'https://files.example.test/x']) {
      const error = await failure(url);
      expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', message: expect.stringContaining(why) });
      expect(error.message).toContain(`through the proxy https://${address}, named by http_proxy`);
      expect(error.hint).toContain(hint);
      expect(error.got).toBeUndefined();
      expect(`${error.message} ${error.hint}`).not.toContain('hidden');
    }
    expect(proxy.asked).toEqual([]);
  });
});

describe('SSL_CERT_FILE', () => {
  test('with a damaged certificate among good ones is an error that names it', async () => {
    const file = at('damaged.pem');
    writeFileSync(file, `${readFileSync(at('ca.pem'), 'utf8')}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`);
    environment({ SSL_CERT_FILE: file });
    expect(await failure(`https://localhost:${good}/x`)).toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: `SSL_CERT_FILE names ${file}: certificate 2 in it is damaged`,
      hint: expect.stringContaining('SSL_CERT_FILE'),
    });
  });

  test('is read where a redirect leads from http to https', async () => {
    const location = `https://localhost:${good}/x`;
    const redirecting = await listening(createHttp((_request, response) => void response.writeHead(302, { location }).end()));
    environment({ SSL_CERT_FILE: at('ca.pem') });
    expect(await get(`http://localhost:${redirecting}/`)).toBe('secret');
    environment({ SSL_CERT_FILE: at('missing.pem') });
    expect(await failure(`http://localhost:${redirecting}/`)).toMatchObject({ message: expect.stringContaining(at('missing.pem')) });
  });

  test('serves a URL in upper case too, which is not led to a place without TLS', async () => {
    const location = `http://localhost:${plain}/x`;
    const leading = await listening(
      createHttps(certificates.good, (_request, response) => void response.writeHead(302, { location }).end()),
    );
    environment({ SSL_CERT_FILE: at('ca.pem') });
    expect(await failure(`HTTPS://localhost:${leading}/`)).toMatchObject({ message: expect.stringContaining('leads from https') });
  });

  test('is not read for a server without TLS', async () => {
    environment({ SSL_CERT_FILE: at('missing.pem') });
    expect(await get(`http://localhost:${plain}/x`)).toBe('content');
  });
});
