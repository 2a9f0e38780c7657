import { Readable } from 'node:stream';
import { type Header, pack } from 'tar-stream';
import { expect, test } from 'vitest';
import { type GotFile, getFiles, readFileFrom } from '../../src/engine/archive.ts';
import { type Answer, fakeDaemon, refuse } from '../support/fake-daemon.ts';
import { thrownBy } from '../support/temp-folder.ts';

async function tar(...entries: [Partial<Header> & { name: string }, string?][]): Promise<Buffer> {
  const packer = pack();
  for (const [header, content] of entries) packer.entry({ mode: 0o644, ...header }, content ?? '');
  packer.finalize();
  return Buffer.concat(await Readable.from(packer).toArray());
}

async function containerWith(answer: Answer | Buffer) {
  const script = Buffer.isBuffer(answer) ? (response: Parameters<Answer>[0]) => void response.writeHead(200).end(answer) : answer;
  const daemon = await fakeDaemon({ 'GET /containers/c/archive': script });
  return { daemon, container: daemon.engine.docker.getContainer('c') };
}

test('a path that is not there is told, not thrown', async () => {
  const { container } = await containerWith(refuse(404, 'Could not find the file'));
  expect(await readFileFrom(container, '/cell/x')).toBeUndefined();
  expect(await getFiles(container, '/cell/x', async () => {})).toBe(false);
});

test('any other refusal is an error', async () => {
  const { container } = await containerWith(refuse(500, 'broken'));
  expect(await thrownBy(() => readFileFrom(container, '/x'))).toMatchObject({ code: 'ENGINE_REFUSED' });
});

test('a file comes with its content, mode and type', async () => {
  const { daemon, container } = await containerWith(await tar([{ name: 'x.sh', mode: 0o100755 }, 'echo ü\n']));
  expect(await readFileFrom(container, '/cell/x.sh')).toEqual({ content: Buffer.from('echo ü\n'), mode: 0o755, type: 'file' });
  expect(daemon.calls[0]?.query.get('path')).toBe('/cell/x.sh');
});

test('a symbolic link comes as such, so that it is not taken for the file', async () => {
  const { container } = await containerWith(await tar([{ name: 'x', type: 'symlink', linkname: '/etc/passwd' }]));
  expect(await readFileFrom(container, '/x')).toMatchObject({ type: 'symlink', content: Buffer.alloc(0) });
});

test('of several entries each is given in order, also where one is not read', async () => {
  const answer = await tar([{ name: 'd/', type: 'directory' }], [{ name: 'd/a' }, 'A'.repeat(100_000)], [{ name: 'd/b' }, 'B']);
  const { container } = await containerWith(answer);
  const got: (GotFile & { text: string })[] = [];
  const there = await getFiles(container, '/d', async (file, content) => {
    const text = file.name === 'd/b' ? Buffer.concat(await Readable.from(content).toArray()).toString() : '';
    got.push({ ...file, text });
  });
  expect(there).toBe(true);
  expect(got.map(({ name, type, size }) => [name, type, size])).toEqual([
    ['d/', 'directory', 0],
    ['d/a', 'file', 100_000],
    ['d/b', 'file', 1],
  ]);
});

test('of a folder the first entry is taken, not the files in it', async () => {
  const { container } = await containerWith(await tar([{ name: 'd/', type: 'directory' }], [{ name: 'd/a' }, 'A']));
  expect(await readFileFrom(container, '/d')).toMatchObject({ type: 'directory', content: Buffer.alloc(0) });
});

test('an answer that is cut by a lost connection is a lost engine', async () => {
  const whole = await tar([{ name: 'x' }, 'x'.repeat(50_000)]);
  const { container } = await containerWith((response) => {
    response.writeHead(200, { 'Content-Length': whole.length });
    response.write(whole.subarray(0, 20_000), () => setTimeout(() => response.destroy(), 20));
  });
  expect(await thrownBy(() => readFileFrom(container, '/x'))).toMatchObject({ code: 'ENGINE_LOST' });
});

test('an archive that is cut, though the answer ends well, is an error', async () => {
  const whole = await tar([{ name: 'x' }, 'x'.repeat(50_000)]);
  const { container } = await containerWith(whole.subarray(0, 20_000));
  expect(await thrownBy(() => readFileFrom(container, '/x'))).toBeInstanceOf(Error);
});

test('an answer that is not an archive is an error', async () => {
  const { container } = await containerWith(Buffer.from('<html>'.repeat(200)));
  expect(await thrownBy(() => readFileFrom(container, '/x'))).toBeInstanceOf(Error);
});

test('what the reader throws comes through, and the connection is closed', async () => {
  let closed = false;
  const whole = await tar([{ name: 'x' }, 'x'.repeat(4 * 2 ** 20)]);
  const { container } = await containerWith((response) => {
    response.on('close', () => {
      closed = !response.writableFinished;
    });
    response.writeHead(200, { 'Content-Length': whole.length }).write(whole.subarray(0, whole.length - 1));
  });
  const full = Object.assign(new Error('no room'), { code: 'ENOSPC' });
  expect(await thrownBy(() => getFiles(container, '/x', () => Promise.reject(full)))).toBe(full);
  await expect.poll(() => closed).toBe(true);
});
