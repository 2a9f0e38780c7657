import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type DownloadOptions, download, publicUrl } from '../../../src/sources/origins/download.ts';
import { type Answer, sendCut, sendWithRange, serve } from '../../support/http-server.ts';
import { put, tempFolder } from '../../support/tar-maker.ts';

const folder = tempFolder();
const body = randomBytes(200_000);
const quick: DownloadOptions = { limit: 10 ** 7, backoff: 1, retries: 3 };
let count = 0;

/** Download from a server that answers so; gives the file, what the server saw, and the error if there was one. */
async function attempt(answer: Answer, options: Partial<DownloadOptions> = {}, begun?: Uint8Array, query = '') {
  const server = await serve(answer);
  const file = join(folder, `file-${count++}`);
  if (begun) put(folder, `file-${count - 1}`, begun);
  const error = await download(`${server.url}/dir/thing.tar${query}`, file, { ...quick, ...options }).then(
    () => undefined,
    (reason) => reason,
  );
  await server.close();
  return { server, file, error, bytes: existsSync(file) ? readFileSync(file) : undefined };
}

describe('a whole transfer', () => {
  test('writes what the server sends and tells the progress', async () => {
    const steps: [number, number | undefined][] = [];
    const { bytes, error, server } = await attempt((request, response) => sendWithRange(request, response, body), {
      onProgress: (done, total) => steps.push([done, total]),
    });
    expect(error).toBeUndefined();
    expect(bytes?.equals(body)).toBe(true);
    expect(steps.at(-1)).toEqual([body.length, body.length]);
    expect(server.requests[0]?.headers.range).toBeUndefined();
    expect(server.requests[0]?.headers['accept-encoding']).toBe('identity');
  });

  test('follows a redirect to another server', async () => {
    const other = await serve((request, response) => sendWithRange(request, response, body));
    const { bytes } = await attempt((_request, response) => response.writeHead(302, { location: `${other.url}/real.tar` }).end());
    expect(bytes?.equals(body)).toBe(true);
    expect(other.requests.map(({ path }) => path)).toEqual(['/real.tar']);
  });

  test('gives up redirects that go in a circle', async () => {
    const { error, server } = await attempt((request, response) => response.writeHead(302, { location: request.url ?? '/' }).end());
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED' });
    expect(server.requests.length).toBeLessThan(20);
  });

  test('takes user name and password of the URL to the server as basic authentication', async () => {
    const server = await serve((request, response) =>
      request.headers.authorization === `Basic ${Buffer.from('user:p@ss').toString('base64')}`
        ? sendWithRange(request, response, body)
        : response.writeHead(401).end(),
    );
    const file = join(folder, 'with-password');
    await download(`${server.url.replace('//', '//user:p%40ss@')}/thing.tar`, file, quick);
    expect(readFileSync(file).equals(body)).toBe(true);
  });
});

describe('a cut transfer', () => {
  test('is resumed where it was cut, with a Range request', async () => {
    const { bytes, server } = await attempt((request, response, n) =>
      n === 1 ? sendCut(response, body, 70_000) : sendWithRange(request, response, body),
    );
    expect(bytes?.equals(body)).toBe(true);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=70000-']);
  });

  test('starts anew where the server does not know Range and sends the whole again', async () => {
    const { bytes, server } = await attempt((_request, response, n) =>
      n === 1 ? sendCut(response, body, 70_000) : response.writeHead(200, { 'content-length': body.length }).end(body),
    );
    expect(bytes?.equals(body)).toBe(true);
    expect(server.requests).toHaveLength(2);
  });

  test('starts anew where the server resumes at another place', async () => {
    const { bytes, server } = await attempt((request, response, n) => {
      if (n === 1) sendCut(response, body, 70_000);
      else if (request.headers.range)
        response.writeHead(206, { 'content-range': `bytes 0-9/${body.length}`, 'content-length': 10 }).end(body.subarray(0, 10));
      else sendWithRange(request, response, body);
    });
    expect(bytes?.equals(body)).toBe(true);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=70000-', undefined]);
  });

  test('starts anew where a 206 does not say what range it is', async () => {
    const { bytes } = await attempt(
      (request, response) => (request.headers.range ? response.writeHead(206).end(body) : sendWithRange(request, response, body)),
      {},
      body.subarray(0, 5),
    );
    expect(bytes?.equals(body)).toBe(true);
  });

  test('leaves its beginning in the file when every try is cut, for the next run', async () => {
    const { bytes, error, server } = await attempt((request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
      response.writeHead(from ? 206 : 200, {
        'content-length': body.length - from,
        ...(from ? { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` } : {}),
      });
      response.write(body.subarray(from, from + 1000), () => setTimeout(() => response.destroy(), 20));
    });
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', got: '4 tries, all failed' });
    expect(server.requests).toHaveLength(4);
    expect(bytes?.equals(body.subarray(0, 4000))).toBe(true);
  });
});

describe('a partial file from an earlier run', () => {
  test('is resumed', async () => {
    const { bytes, server } = await attempt((request, response) => sendWithRange(request, response, body), {}, body.subarray(0, 1234));
    expect(bytes?.equals(body)).toBe(true);
    expect(server.requests[0]?.headers.range).toBe('bytes=1234-');
  });

  test('that is whole already is left as it is', async () => {
    const { bytes, error, server } = await attempt((request, response) => sendWithRange(request, response, body), {}, body);
    expect(error).toBeUndefined();
    expect(bytes?.equals(body)).toBe(true);
    expect(server.requests).toHaveLength(1);
  });

  test('longer than what the server has now is thrown away and fetched anew', async () => {
    const { bytes } = await attempt(
      (request, response) => sendWithRange(request, response, body),
      {},
      Buffer.concat([body, Buffer.from('more')]),
    );
    expect(bytes?.equals(body)).toBe(true);
  });
});

test('publicUrl drops user name, password, query and fragment', () => {
  expect(publicUrl('https://user:secret@host.example:8443/a/b.tar?token=secret#secret')).toBe('https://host.example:8443/a/b.tar');
});

test('publicUrl drops them from a URL that cannot be parsed, too', () => {
  for (const url of [
    'http://user:secret@host:99999/x?token=secret',
    'http://user:se/cret@host/x y?secret',
    'https://user:secret@/x#secret',
  ])
    expect(publicUrl(url)).not.toMatch(/secret|cret|user/);
});
