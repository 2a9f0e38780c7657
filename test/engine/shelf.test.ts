import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { expect, test } from 'vitest';
import { SHELF, Shelf, type ShelfFile } from '../../src/engine/shelf.ts';
import { empty, type FakeDaemon, fakeDaemon, json, refuse, type Script } from '../support/fake-daemon.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const works: Script = {
  'POST /volumes/create': json(201, { Name: 'v' }),
  'DELETE /volumes/*': empty(),
  'POST /containers/create': json(201, { Id: 'c' }),
  'DELETE /containers/c': empty(),
};

/** A daemon that takes files in, and their names in the order in which they came. */
async function taking(): Promise<{ daemon: FakeDaemon; names: string[] }> {
  const names: string[] = [];
  const daemon = await fakeDaemon({
    ...works,
    'PUT /containers/c/archive': async (response, call) => {
      const parser = extract();
      Readable.from([await call.body()]).pipe(parser);
      for await (const entry of parser) {
        names.push(entry.header.name);
        entry.resume();
      }
      response.writeHead(200).end();
    },
  });
  return { daemon, names };
}

function file(name: string, size = name.length): ShelfFile {
  const path = join(tempFolder(), name);
  return {
    name,
    make: async () => {
      writeFileSync(path, 'x'.repeat(size));
      return { path, size };
    },
  };
}

const make = (daemon: FakeDaemon, full?: number) => new Shelf(daemon.engine, 'image', { owner: 'me' }, () => {}, full);
const created = (daemon: FakeDaemon) => daemon.lines().filter((line) => line === 'POST /volumes/create').length;

test('each file is sent once, whoever wants it, into one volume that all may read', async () => {
  const { daemon, names } = await taking();
  const shelf = make(daemon);
  const [xen, one, two] = ['xen', 'one', 'two'].map((name) => file(name)) as [ShelfFile, ShelfFile, ShelfFile];
  const [first, second] = await Promise.all([shelf.hold([xen, one]), shelf.hold([xen, two])]);
  const third = await shelf.hold([one, two]);
  expect([second.reads, third.reads]).toEqual([first.reads, first.reads]);
  expect(first.reads.at).toBe(SHELF);
  expect(names.toSorted()).toEqual(['one', 'two', 'xen']);
  // It stays for the next cell.
  for (const held of [first, second, third]) await held.release();
  await shelf.hold([xen]);
  expect(names).toHaveLength(3);
  await shelf.remove();
  const lines = daemon.lines();
  expect(lines.filter((line) => /create$/.test(line))).toEqual(['POST /volumes/create', 'POST /containers/create']);
  expect(lines.slice(-2)).toEqual(['DELETE /containers/c', `DELETE /volumes/${first.reads.volume}`]);
});

test('a volume that is full goes with its last reader, and the next files go into a new one', async () => {
  const { daemon } = await taking();
  const shelf = make(daemon, 1000);
  const big = await shelf.hold([file('a', 600), file('b', 600)]);
  const other = await shelf.hold([file('c')]);
  expect(other.reads.volume).not.toBe(big.reads.volume);
  expect(daemon.lines().filter((line) => line.startsWith('DELETE'))).toEqual([]);
  await big.release();
  expect(daemon.lines().slice(-2)).toEqual(['DELETE /containers/c', `DELETE /volumes/${big.reads.volume}`]);
  await other.release();
  await shelf.remove();
  expect(daemon.lines().at(-1)).toBe(`DELETE /volumes/${other.reads.volume}`);
});

test.each([
  ['a file', 'PUT /containers/c/archive'],
  ['the volume', 'POST /volumes/create'],
  ['the container', 'POST /containers/create'],
])('where the engine refuses %s, the next who wants it begins anew, and nothing is left over', async (_what, line) => {
  const { daemon, names } = await taking();
  const works = daemon.script[line] as Script[string];
  daemon.script[line] = refuse(500, 'no space left on device');
  const shelf = make(daemon);
  const xen = file('xen');
  expect(await thrownBy(() => shelf.hold([xen]))).toMatchObject({ message: expect.stringContaining('no space left') });
  daemon.script[line] = works;
  await shelf.hold([xen]);
  expect(names).toEqual(['xen']);
  await shelf.remove();
  const removed = daemon.lines().filter((call) => call.startsWith('DELETE /volumes/'));
  // What could not be created is not there to be removed.
  expect(removed).toHaveLength(created(daemon) - (line === 'POST /volumes/create' ? 1 : 0));
});

test('a shelf that nobody used has nothing to remove', async () => {
  const daemon = await fakeDaemon();
  await make(daemon).remove();
  expect(daemon.lines()).toEqual([]);
});
