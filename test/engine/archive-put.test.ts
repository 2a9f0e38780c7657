import { mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { expect, test } from 'vitest';
import { type PutFile, putFiles, tarOf } from '../../src/engine/archive.ts';
import { empty, type FakeDaemon, fakeDaemon, refuse, until } from '../support/fake-daemon.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const container = (daemon: FakeDaemon) => daemon.engine.docker.getContainer('c');

interface Entry {
  name: string;
  type: string | null | undefined;
  mode: number | undefined;
  owner: string;
  mtime: number | undefined;
  content: string;
}

async function entriesOf(tar: Buffer): Promise<Entry[]> {
  const parser = extract();
  Readable.from([tar]).pipe(parser);
  const entries: Entry[] = [];
  for await (const entry of parser) {
    const { name, type, mode, uid, gid, uname, gname, mtime } = entry.header;
    const content = Buffer.concat(await Readable.from(entry).toArray()).toString();
    entries.push({ name, type, mode, owner: `${uid}:${gid} ${uname}:${gname}`, mtime: mtime?.getTime(), content });
  }
  return entries;
}

/** A file on disk, larger than what the connection's buffers take. */
function bigFile(size = 64 * 2 ** 20): { path: string; size: number } {
  const path = join(tempFolder(), 'big');
  writeFileSync(path, '');
  truncateSync(path, size);
  return { path, size };
}

const isOpen = (path: string): boolean =>
  readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });

test('files arrive with a fixed owner, the time 0, their modes, and their folders before them', async () => {
  let body: Buffer = Buffer.alloc(0);
  const daemon = await fakeDaemon({
    'PUT /containers/c/archive': async (response, call) => {
      body = await call.body();
      response.writeHead(200).end();
    },
  });
  const path = join(tempFolder(), 'on-disk');
  writeFileSync(path, 'from disk', { mode: 0o600 });
  const files: PutFile[] = [
    { name: 'in/deep/a.txt', content: Buffer.from('in memory') },
    { name: 'in/b.sh', content: { path, size: 9 }, mode: 0o755 },
  ];
  await putFiles(container(daemon), '/cell', files);
  const common = { owner: '1000:1000 :', mtime: 0 };
  expect(await entriesOf(body)).toEqual([
    { ...common, name: 'in/', type: 'directory', mode: 0o755, content: '' },
    { ...common, name: 'in/deep/', type: 'directory', mode: 0o755, content: '' },
    { ...common, name: 'in/deep/a.txt', type: 'file', mode: 0o644, content: 'in memory' },
    { ...common, name: 'in/b.sh', type: 'file', mode: 0o755, content: 'from disk' },
  ]);
  expect(daemon.calls[0]?.query.get('path')).toBe('/cell');
});

test('the same files give the same bytes at any time', async () => {
  const files = [{ name: 'x/y', content: Buffer.from('1') }];
  const bytes = async () => Buffer.concat(await Readable.from(tarOf(files)).toArray());
  const first = await bytes();
  await new Promise((resolve) => setTimeout(resolve, 1100));
  expect(await bytes()).toEqual(first);
});

test.each([
  [404, 'ENGINE_REFUSED'],
  [500, 'ENGINE_REFUSED'],
])('an early %i, sent before the files are read, is our error and leaves no file open', async (status, code) => {
  const daemon = await fakeDaemon({ 'PUT /containers/c/archive': refuse(status, 'no such folder') });
  const file = bigFile();
  const error = await thrownBy(() => putFiles(container(daemon), '/nowhere', [{ name: 'big', content: file }]));
  expect(error).toMatchObject({ code, message: `the engine refused while taking in files: no such folder (HTTP ${status})` });
  await until('the file is closed', () => !isOpen(file.path));
});

test('the answer is read, so that its connection is free for the next request', async () => {
  const connections = new Set<unknown>();
  const daemon = await fakeDaemon({
    'PUT /containers/c/archive': async (response, call) => {
      connections.add(response.socket);
      await call.body();
      response.writeHead(200).end('{}');
    },
  });
  for (let i = 0; i < 3; i++) await putFiles(container(daemon), '/cell', []);
  expect(connections.size).toBe(1);
});

test('a file that vanished is an error of its own, not a lost engine, and never ends the process', async () => {
  const daemon = await fakeDaemon({
    'PUT /containers/c/archive': async (response, call) => {
      await call.body();
      empty(200)(response, call);
    },
  });
  const path = join(tempFolder(), 'gone');
  const error = await thrownBy(() => putFiles(container(daemon), '/cell', [{ name: 'gone', content: { path, size: 5 } }]));
  expect(error).toMatchObject({ code: 'ENOENT', path });
});

test('a file that shrank while it is packed is an error', async () => {
  const daemon = await fakeDaemon({ 'PUT /containers/c/archive': async (_response, call) => void (await call.body()) });
  const path = join(tempFolder(), 'small');
  writeFileSync(path, '12345');
  const error = await thrownBy(() => putFiles(container(daemon), '/cell', [{ name: 'small', content: { path, size: 6 } }]));
  expect(String(error)).toMatch(/size mismatch/i);
});

test('a folder, or a link that leads nowhere, in the place of a file is an error', async () => {
  const daemon = await fakeDaemon({ 'PUT /containers/c/archive': async (_response, call) => void (await call.body()) });
  const folder = tempFolder();
  mkdirSync(join(folder, 'folder'));
  symlinkSync('nowhere', join(folder, 'link'));
  for (const [name, code] of [
    ['folder', 'EISDIR'],
    ['link', 'ENOENT'],
  ] as const) {
    const content = { path: join(folder, name), size: 1 };
    expect(await thrownBy(() => putFiles(container(daemon), '/cell', [{ name, content }]))).toMatchObject({ code });
  }
});

test('an engine that goes away while it takes files in is lost', async () => {
  const daemon = await fakeDaemon({ 'PUT /containers/c/archive': (response) => void response.socket?.destroy() });
  const file = bigFile();
  const error = await thrownBy(() => putFiles(container(daemon), '/cell', [{ name: 'big', content: file }]));
  expect(error).toMatchObject({ code: 'ENGINE_LOST' });
  await until('the file is closed', () => !isOpen(file.path));
  rmSync(file.path);
});
