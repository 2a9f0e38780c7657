import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll } from 'vitest';

export type Answer = (request: IncomingMessage, response: ServerResponse, attempt: number) => void;

export interface TestServer {
  /** Base URL without a slash at the end. */
  url: string;
  /** Every request that came, in order. */
  requests: { method: string; path: string; headers: IncomingMessage['headers'] }[];
  /** Connections that were opened. */
  connections: () => number;
  close: () => Promise<void>;
}

/** A real HTTP server on this machine that answers as the test says; `attempt` counts the requests from 1. */
export async function serve(answer: Answer): Promise<TestServer> {
  const requests: TestServer['requests'] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((request, response) => {
    requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    answer(request, response, requests.length);
  });
  server.on('connection', (socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => resolve());
    });
  afterAll(close);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, connections: () => connections, close };
}

/** Answer with a body as a server does that knows Range: 206, or 416 where the range starts behind the end. */
export function sendWithRange(request: IncomingMessage, response: ServerResponse, body: Uint8Array): void {
  const from = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  if (from === undefined) {
    response.writeHead(200, { 'content-length': body.length }).end(body);
    return;
  }
  const start = Number(from);
  if (start >= body.length) {
    response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end();
    return;
  }
  response
    .writeHead(206, {
      'content-range': `bytes ${start}-${body.length - 1}/${body.length}`,
      'content-length': body.length - start,
    })
    .end(body.subarray(start));
}

/** Answer with the beginning of a body under the length of the whole, then cut the connection. */
export function sendCut(response: ServerResponse, body: Uint8Array, after: number): void {
  response.writeHead(200, { 'content-length': body.length });
  response.write(body.subarray(0, after), () => setTimeout(() => response.destroy(), 20));
}
