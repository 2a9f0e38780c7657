import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A socket that leads to an engine until it is cut: to the client the engine is gone then. */
export async function engineProxy(
  endpoint: string,
): Promise<{ endpoint: string; cut: () => void; freeze: () => void; remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-proxy-'));
  const path = join(folder, 'docker.sock');
  const sockets = new Set<Socket>();
  let frozen = false;
  const server = createServer((client) => {
    if (frozen) {
      sockets.add(client);
      return;
    }
    const upstream = connect(endpoint.replace('unix://', ''));
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const cut = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  /** Let nothing through any more, and tell nobody. */
  const freeze = () => {
    frozen = true;
    for (const socket of sockets) {
      socket.unpipe();
      socket.pause();
    }
  };
  return {
    freeze,
    endpoint: `unix://${path}`,
    cut,
    remove: () => {
      cut();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
