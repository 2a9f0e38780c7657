import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll } from 'vitest';

/** A proxy on this machine that leads every name to one server of this machine, and notes what it was asked. */
export interface TestProxy {
  /** HOST:PORT. */
  address: string;
  /** Each request: `GET http://name/path` or `CONNECT name:port`. */
  asked: string[];
  /** The user name and password that each request brought, `user:password`. */
  users: (string | undefined)[];
}

/**
 * @param port of the server that all requests are led to
 * @param answer refuse all with this status
 */
export async function httpProxy(port: number, answer?: number): Promise<TestProxy> {
  const asked: string[] = [];
  const users: (string | undefined)[] = [];
  const note = (line: string, header: string | string[] | undefined) => {
    asked.push(line);
    const [, basic] = /^Basic (.*)$/.exec(String(header ?? '')) ?? [];
    users.push(basic === undefined ? undefined : Buffer.from(basic, 'base64').toString());
  };
  const server: Server = createServer((incoming, response) => {
    note(`${incoming.method} ${incoming.url}`, incoming.headers['proxy-authorization']);
    if (answer !== undefined) {
      response.writeHead(answer).end();
      return;
    }
    const { pathname } = new URL(incoming.url ?? '');
    const onward = request({ host: '127.0.0.1', port, path: pathname, method: incoming.method, headers: incoming.headers }, (got) => {
      response.writeHead(got.statusCode ?? 500, got.headers);
      got.pipe(response);
    });
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  });
  server.on('connect', (incoming, socket) => {
    note(`CONNECT ${incoming.url}`, incoming.headers['proxy-authorization']);
    if (answer !== undefined) {
      socket.end(`HTTP/1.1 ${answer} No\r\n\r\n`);
      return;
    }
    const onward = connect(port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
    onward.pipe(socket);
    socket.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked, users };
}
