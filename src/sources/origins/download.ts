import { createWriteStream } from 'node:fs';
import { stat, truncate } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Dispatcher, request } from 'undici';
import { isDiskFull, SourceError } from '../../errors.ts';
import { ifThere } from '../../util/files.ts';
import { agent, requestProblem } from './agent.ts';

/** Limits of a download, and how it is told of. */
export interface DownloadOptions {
  /** Bytes after which the download is given up. */
  limit: number;
  signal?: AbortSignal | undefined;
  /** How often a cut or failed transfer is tried again. */
  retries?: number;
  /** Milliseconds before the first further try; doubled each time. */
  backoff?: number;
  onProgress?: ((done: number, total: number | undefined) => void) | undefined;
  /** A proxy to use, or `DIRECT`, whatever the environment says. */
  proxy?: string | undefined;
  /** What to try where it is larger than the limit, or no room is left; what is said of sources if not given. */
  hints?: { large: string; full: string };
}

/** Any other answer than the file. */
export class HttpStatus extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`HTTP ${status}`);
    this.status = status;
  }
}

/** A URL as it may be shown and recorded: without user name, password and query. */
export function publicUrl(url: string): string {
  try {
    const parsed = new URL(url);
    return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
  } catch {
    return url.replace(/[?#].*$/s, '').replace(/^(https?:\/\/).*@/is, '$1');
  }
}

/** Whether a transfer is one that nobody should wait for: after a minute, less than 500 bytes a second. */
export function isTooSlow(bytes: number, ms: number): boolean {
  return ms > 60_000 && bytes < ms / 2;
}

/** Failures that a further try may mend. */
class Transient extends Error {}

/**
 * Download a URL into a file. A file that is there already is taken as the beginning of it and resumed with a
 * Range request; where the server does not resume, resumes at another place, or has a file now that is shorter than the
 * beginning, it starts anew. No validator is kept (no If-Range): where the server's file changed and is at least as
 * long, the result is put together from both. The caller's pin refuses that; without a pin only a damaged archive is seen.
 *
 * @param file the partial file; it stays when the transfer fails, so that the next run resumes it
 * @throws SourceError DOWNLOAD_FAILED (with the HTTP status or the network's error), SOURCE_TOO_LARGE, STORE_DISK_FULL
 */
export async function download(url: string, file: string, options: DownloadOptions): Promise<void> {
  const retries = options.retries ?? 4;
  for (let attempt = 0; ; attempt++) {
    try {
      await transfer(url, file, options);
      return;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof SourceError) throw error;
      if (isDiskFull(error))
        throw new SourceError('STORE_DISK_FULL', `no room left to download ${publicUrl(url)}`, {
          hint: options.hints?.full ?? 'make room, or give another folder with --store',
          cause: error,
        });
      const again = error instanceof Transient || isNetworkError(error);
      if (!again || attempt >= retries) {
        const { reason, hint } = requestProblem(error, url, options.proxy);
        throw new SourceError('DOWNLOAD_FAILED', `${publicUrl(url)}: ${reason}`, {
          cause: error,
          ...(hint === undefined ? {} : { hint }),
          ...(again ? { got: `${attempt + 1} tries, all failed` } : {}),
        });
      }
      await sleep((options.backoff ?? 500) * 2 ** attempt, undefined, options.signal ? { signal: options.signal } : {});
    }
  }
}

function isNetworkError(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: string };
  // A proxy that refuses a password or a host does so again; wrong passwords may lock an account.
  if (/^Proxy response \(4(?!08|25|29)/.test(message ?? '')) return false;
  return (
    typeof code === 'string' &&
    /^(UND_ERR_(?!INVALID_ARG|PRX_TLS)|ECONN|EPIPE|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|HPE_)/.test(code)
  );
}

/** The header for user name and password of a URL, which the agent does not look at. */
function authorization(url: string): { authorization?: string } {
  const { username, password } = new URL(url);
  if (username === '' && password === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

async function transfer(url: string, file: string, options: DownloadOptions): Promise<void> {
  const have = (await ifThere(stat(file)))?.size ?? 0;
  const response = await request(url, {
    dispatcher: agent(url, options.proxy),
    headers: {
      'user-agent': 'pvgrub-forge',
      'accept-encoding': 'identity',
      ...authorization(url),
      ...(have > 0 ? { range: `bytes=${have}-` } : {}),
    },
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const { statusCode, headers, body } = response;
  const drop = () => body.dump({ limit: 65_536 }).catch(() => {});
  if (statusCode === 416 && have > 0) {
    await drop();
    const total = Number(/\*\/(\d+)/.exec(String(headers['content-range'] ?? ''))?.[1] ?? Number.NaN);
    if (total === have) return;
    await truncate(file, 0);
    throw new Transient('the partial file was longer than the whole');
  }
  if (statusCode !== 200 && statusCode !== 206) {
    await drop();
    if (statusCode === 408 || statusCode === 425 || statusCode === 429 || statusCode >= 500) throw new Transient(`HTTP ${statusCode}`);
    throw new HttpStatus(statusCode);
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(headers['content-range'] ?? ''));
  const resumed = statusCode === 206;
  if (resumed && Number(range?.[1]) !== have) {
    await drop();
    await truncate(file, 0);
    throw new Transient('the server resumed at another place');
  }
  const start = resumed ? have : 0;
  const length = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
  const total = length === undefined ? undefined : start + length;
  const tooLarge = () =>
    new SourceError('SOURCE_TOO_LARGE', `${publicUrl(url)} is larger than allowed`, {
      expected: `at most ${options.limit} bytes`,
      hint: options.hints?.large ?? 'raise limits.source in the configuration',
    });
  if (total !== undefined && total > options.limit) {
    await drop();
    throw tooLarge();
  }
  let done = start;
  const began = performance.now();
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      done += chunk.length;
      if (done > options.limit) callback(tooLarge());
      else if (isTooSlow(done - start, performance.now() - began)) callback(new Error('it gives less than 500 bytes a second'));
      else {
        options.onProgress?.(done, total);
        callback(null, chunk);
      }
    },
  });
  await pipeline(body, meter, createWriteStream(file, { flags: resumed ? 'a' : 'w' }), options.signal ? { signal: options.signal } : {});
  if (total !== undefined && done !== total) throw new Transient(`the transfer was cut after ${done} of ${total} bytes`);
}

/**
 * An answer's body whole.
 * @param limit bytes after which it is given up
 * @param where what to call the server in errors
 * @throws SourceError SOURCE_TOO_LARGE, DOWNLOAD_FAILED
 */
export async function take(body: Dispatcher.ResponseData['body'], limit: number, where: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const began = performance.now();
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit)
        throw new SourceError('SOURCE_TOO_LARGE', `${where} sends more than it should`, { expected: `at most ${limit} bytes` });
      if (isTooSlow(size, performance.now() - began)) throw new Error('it gives less than 500 bytes a second');
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof SourceError) throw error;
    throw new SourceError('DOWNLOAD_FAILED', `${where}: ${(error as Error).message}`, { cause: error });
  }
  return Buffer.concat(chunks);
}
