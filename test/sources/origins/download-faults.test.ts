import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorText } from '../../../src/errors.ts';
import { type DownloadOptions, download, isTooSlow } from '../../../src/sources/origins/download.ts';
import { sendWithRange, serve } from '../../support/http-server.ts';
import { tempFolder } from '../../support/tar-maker.ts';

const folder = tempFolder();
const body = Buffer.alloc(50_000, 'pv');
const quick: DownloadOptions = { limit: 10 ** 7, backoff: 1, retries: 3 };

describe('what the server answers', () => {
  test('404 is not tried again, and no file is made', async () => {
    const server = await serve((_request, response) => response.writeHead(404).end('no'));
    const file = join(folder, 'missing');
    await expect(download(`${server.url}/x`, file, quick)).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      exit: 3,
      message: `${server.url}/x: HTTP 404`,
    });
    expect(server.requests).toHaveLength(1);
    expect(existsSync(file)).toBe(false);
  });

  test.each([500, 503, 429, 408])('%i and then 200 gives the file', async (status) => {
    const server = await serve((request, response, n) =>
      n === 1 ? response.writeHead(status).end() : sendWithRange(request, response, body),
    );
    const file = join(folder, `after-${status}`);
    await download(`${server.url}/x`, file, quick);
    expect(readFileSync(file).equals(body)).toBe(true);
    expect(server.requests).toHaveLength(2);
  });

  test('500 each time is given up after the tries that were asked for', async () => {
    const server = await serve((_request, response) => response.writeHead(500).end());
    await expect(download(`${server.url}/x`, join(folder, 'always-500'), quick)).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      got: '4 tries, all failed',
    });
    expect(server.requests).toHaveLength(4);
  });
});

describe('the size limit', () => {
  test('stops a file whose Content-Length is over it before anything is written', async () => {
    const server = await serve((request, response) => sendWithRange(request, response, body));
    const file = join(folder, 'large');
    await expect(download(`${server.url}/x`, file, { ...quick, limit: body.length - 1 })).rejects.toMatchObject({
      code: 'SOURCE_TOO_LARGE',
    });
    expect(existsSync(file)).toBe(false);
    expect(server.requests).toHaveLength(1);
  });

  test('stops an endless answer without Content-Length', async () => {
    const server = await serve((_request, response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write(body));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    });
    const file = join(folder, 'endless');
    await expect(download(`${server.url}/x`, file, { ...quick, limit: 300_000 })).rejects.toMatchObject({ code: 'SOURCE_TOO_LARGE' });
    expect(existsSync(file) ? statSync(file).size : 0).toBeLessThanOrEqual(300_000);
    expect(server.requests).toHaveLength(1);
  });

  test('lets a file of just that size pass, with Content-Length and without', async () => {
    const server = await serve((request, response, n) => (n === 1 ? sendWithRange(request, response, body) : response.end(body)));
    for (const name of ['just-1', 'just-2']) {
      await download(`${server.url}/x`, join(folder, name), { ...quick, limit: body.length });
      expect(readFileSync(join(folder, name)).equals(body)).toBe(true);
    }
  });
});

describe('connections', () => {
  test('a stalled transfer ends at once when the signal aborts it', async () => {
    const stalled = Promise.withResolvers<void>();
    const server = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': body.length });
      response.write(body.subarray(0, 1000), () => stalled.resolve());
    });
    const controller = new AbortController();
    const running = download(`${server.url}/x`, join(folder, 'stalled'), { ...quick, signal: controller.signal });
    await stalled.promise;
    const start = Date.now();
    controller.abort(new Error('stopped by the user'));
    await expect(running).rejects.toThrow('stopped by the user');
    expect(Date.now() - start).toBeLessThan(2000);
    expect(server.requests).toHaveLength(1);
  });

  test('an abort while it waits for the next try ends the waiting', async () => {
    const controller = new AbortController();
    const server = await serve((_request, response) => {
      response.writeHead(500).end();
      setTimeout(() => controller.abort(), 50);
    });
    const running = download(`${server.url}/x`, join(folder, 'waiting'), { ...quick, backoff: 60_000, signal: controller.signal });
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('a refused connection is tried again, then named as such', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    await expect(download(`http://127.0.0.1:${port}/x`, join(folder, 'refused'), { ...quick, retries: 1 })).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: `http://127.0.0.1:${port}/x: connection refused`,
      got: '2 tries, all failed',
    });
  });

  test('http_proxy is used, and no_proxy goes around it', async () => {
    const proxy = await serve((request, response) => sendWithRange(request, response, Buffer.from(`proxied ${request.url}`)));
    const direct = await serve((request, response) => sendWithRange(request, response, Buffer.from('direct')));
    // The agent reads the environment once for each process: so a process for each case. It must not block this one.
    const child = async (env: Record<string, string>, url: string, name: string) => {
      const file = join(folder, name);
      const module = JSON.stringify(join(import.meta.dirname, '../../../src/sources/origins/download.ts'));
      const script = `const {download}=await import(${module});await download(${JSON.stringify(url)},${JSON.stringify(file)},{limit:1e6,retries:0})`;
      const { run } = await import('../../../src/util/process.ts');
      const { PATH = '' } = process.env;
      const answer = await run(process.execPath, ['--input-type=module', '-e', script], { env: { PATH, ...env } });
      return answer.code === 0 ? readFileSync(file, 'utf8') : answer.stderr;
    };
    const env = { http_proxy: proxy.url, no_proxy: '127.0.0.1' };
    const results = await Promise.all([
      child(env, 'http://files.invalid/thing.tar', 'proxied'),
      child(env, `${direct.url}/thing.tar`, 'direct'),
    ]);
    expect(results).toEqual(['proxied http://files.invalid/thing.tar', 'direct']);
  });
});

describe('messages', () => {
  test.each([
    ['a status', 404, ''],
    ['too large', 200, ''],
    ['no such port', 0, ':99999'],
  ])('show neither user name, password nor query: %s', async (_case, status, port) => {
    const server = await serve((_request, response) => response.writeHead(status || 200, { 'content-length': 10 }).end('0123456789'));
    const host = port === '' ? server.url.replace('http://', '') : `127.0.0.1${port}`;
    const file = join(folder, 'quiet');
    const error = await download(`http://somebody:hunter2@${host}/x?token=t0ps3cret`, file, { ...quick, limit: 5 }).catch(
      (reason) => reason,
    );
    expect(error).toMatchObject({ exit: 3 });
    expect(errorText(error)).not.toMatch(/somebody|hunter2|t0ps3cret/);
  });
});

test('a full disk is an error of its own', async (context) => {
  // A tiny file system is the honest way to fill a disk; it takes root and the right to mount.
  const small = join(folder, 'small');
  try {
    execFileSync('sh', ['-c', 'mkdir "$1" && mount -t tmpfs -o size=64k none "$1"', 'sh', small], { stdio: 'pipe' });
  } catch {
    return context.skip('no right to mount a file system here');
  }
  try {
    const server = await serve((request, response) => sendWithRange(request, response, Buffer.alloc(500_000)));
    await expect(download(`${server.url}/x`, join(small, 'file'), quick)).rejects.toMatchObject({ code: 'STORE_DISK_FULL', exit: 3 });
    expect(server.requests).toHaveLength(1);
  } finally {
    execFileSync('umount', [small]);
  }
});

test.each([
  [10, 61_000, true],
  [30_000, 61_000, true],
  [31_000, 61_000, false],
  [10, 59_000, false],
  [10_000_000, 3_600_000, false],
])('%i bytes in %i ms are too slow to wait for: %s', (bytes, ms, slow) => {
  expect(isTooSlow(bytes, ms)).toBe(slow);
});
