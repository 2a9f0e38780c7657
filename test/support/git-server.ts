import { spawn } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll } from 'vitest';

/** Git's own server for the repositories below a folder, one process for each connection. Gives its URL, on a port that is free. */
export async function gitServer(folder: string): Promise<string> {
  const server = createServer((socket) => {
    const args = ['daemon', '--inetd', '--export-all', `--base-path=${folder}`];
    const child = spawn('git', ['-c', 'safe.directory=*', '-c', 'uploadpack.allowAnySHA1InWant=true', ...args], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    socket.on('error', () => {}).pipe(child.stdin.on('error', () => {}));
    child.stdout.on('error', () => {}).pipe(socket);
    socket.on('close', () => child.kill());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterAll(() => void server.close());
  return `git://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
