import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container } from 'dockerode';
import { onTestFinished } from 'vitest';
import { connect, type Engine } from '../../src/engine/engine.ts';

/**
 * A daemon that answers as the test says, on a socket of its own. It is for the faults that a real engine does not
 * show when one wants to see them; what a real engine does is tested in test/integration.
 */

/** One request, as it came in. */
export interface Call {
  /** For example "POST /containers/c/start". */
  line: string;
  /** The request's target with its query, unchanged. */
  target: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  /** Reads the body to its end. */
  body: () => Promise<Buffer>;
}

export type Answer = (response: ServerResponse, call: Call) => unknown;

/** Answers by "METHOD /path"; a star stands for one or more characters. */
export type Script = Record<string, Answer>;

export interface FakeDaemon {
  endpoint: string;
  engine: Engine;
  calls: Call[];
  /** The lines of the requests that came, in order. */
  lines: () => string[];
  script: Script;
  /** As if it were killed: connections closed, nothing listens. */
  die: () => void;
}

export const json =
  (status: number, value: unknown): Answer =>
  (response) => {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
  };

export const refuse = (status: number, message = 'scripted'): Answer => json(status, { message });

export const empty =
  (status = 204): Answer =>
  (response) => {
    response.writeHead(status).end();
  };

/** One frame of a multiplexed stream. */
export function frame(data: string | Uint8Array, kind = 1): Buffer {
  const header = Buffer.alloc(8);
  header[0] = kind;
  const body = Buffer.from(data as Uint8Array);
  header.writeUInt32BE(body.length, 4);
  return Buffer.concat([header, body]);
}

/** Begin a body that has no length: it ends where the connection ends, as the output of an attached container does. */
export function endless(response: ServerResponse): ServerResponse {
  response.setHeader('Connection', 'close');
  response.removeHeader('Transfer-Encoding');
  response.writeHead(200, { 'Content-Type': 'application/vnd.docker.raw-stream' }).flushHeaders();
  return response;
}

function matches(pattern: string, line: string): boolean {
  return new RegExp(`^${pattern.replace(/[.+?^$()[\]{}|\\]/g, '\\$&').replaceAll('*', '.+')}$`).test(line);
}

/** Wait until something is so; fails after five seconds. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const end = Date.now() + 5000; !isSo(); await sleep(5)) if (Date.now() > end) throw new Error(`never came: ${what}`);
}

/** Start a daemon; it is gone when the test has ended. */
export async function fakeDaemon(script: Script = {}): Promise<FakeDaemon> {
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-fake-'));
  const calls: Call[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://engine');
    const call: Call = {
      line: `${request.method} ${pathname}`,
      target: request.url ?? '',
      query: searchParams,
      headers: request.headers,
      body: async () => Buffer.concat(await request.toArray()),
    };
    calls.push(call);
    request.on('error', () => {});
    response.on('error', () => {});
    const answer = Object.entries(script).findLast(([pattern]) => matches(pattern, call.line))?.[1];
    Promise.resolve((answer ?? refuse(501, 'not in the script'))(response, call)).catch(() => response.destroy());
  });
  const path = join(folder, 'd.sock');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const die = () => {
    server.close();
    server.closeAllConnections();
  };
  onTestFinished(() => {
    die();
    rmSync(folder, { recursive: true, force: true });
  });
  const endpoint = `unix://${path}`;
  const engine: Engine = {
    docker: connect(endpoint),
    endpoint,
    foundBy: 'the test',
    name: 'docker',
    version: '29.0.0',
    apiVersion: '1.52',
    cores: 2,
    memory: 2 ** 32,
  };
  return { endpoint, engine, calls, lines: () => calls.map((call) => call.line), script, die };
}

/** What a daemon answers that is greeted. */
export const greeting = (os = 'linux', arch = 'amd64', component = 'Engine'): Script => ({
  'GET /version': json(200, { Version: '29.0.0', ApiVersion: '1.52', Os: os, Arch: arch, Components: [{ Name: component }] }),
  'GET /info': json(200, { NCPU: 3, MemTotal: 1000 }),
});

/** A container that plays a part: started, it prints and ends, unless the test decides. */
export class FakeContainer {
  readonly output: (string | Buffer)[];
  readonly state = { Running: false, ExitCode: 0, OOMKilled: false };
  private stream: ServerResponse | undefined;
  private waiting: ServerResponse | undefined;
  private readonly endsByItself: boolean;

  constructor({ output = [], exitCode = 0, oom = false, endsByItself = true }: FakeContainerOptions = {}) {
    this.output = output;
    this.state = { Running: false, ExitCode: exitCode, OOMKilled: oom };
    this.endsByItself = endsByItself;
  }

  script(): Script {
    return {
      'POST /containers/c/attach': (response) => {
        this.stream = endless(response);
      },
      'POST /containers/c/wait': (response) => {
        this.waiting = response;
        // An engine sends the head at once and the body at the exit.
        response.writeHead(200, { 'Content-Type': 'application/json' }).flushHeaders();
      },
      'POST /containers/c/start': (response) => {
        this.begin();
        response.writeHead(204).end();
        if (this.endsByItself) this.exit();
      },
      'POST /containers/c/kill': (response) => {
        if (!this.state.Running) return refuse(409, 'is not running')(response, undefined as never);
        response.writeHead(204).end();
        this.exit(137);
      },
      'GET /containers/c/json': (response) => json(200, { Id: 'c', State: this.state })(response, undefined as never),
    };
  }

  begin(): void {
    this.state.Running = true;
    for (const piece of this.output) this.stream?.write(typeof piece === 'string' ? frame(piece) : piece);
  }

  endOutput(): void {
    this.stream?.end();
  }

  exit(code = this.state.ExitCode): void {
    this.state.Running = false;
    this.state.ExitCode = code;
    this.endOutput();
    this.waiting?.end(JSON.stringify({ StatusCode: code }));
  }
}

interface FakeContainerOptions {
  output?: (string | Buffer)[];
  exitCode?: number;
  oom?: boolean;
  endsByItself?: boolean;
}

/** A daemon with one container, "c". */
export async function daemonWith(
  container: FakeContainer,
  further: Script = {},
): Promise<{ daemon: FakeDaemon; container: FakeContainer; handle: Container }> {
  const daemon = await fakeDaemon({ ...container.script(), ...further });
  return { daemon, container, handle: daemon.engine.docker.getContainer('c') };
}
