import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { expect, test } from 'vitest';
import { SHELF, Shelf } from '../../src/engine/shelf.ts';
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

function file(name: string): { path: string; size: number; sha256: string } {
  const path = join(tempFolder(), name);
  writeFileSync(path, name);
  return { path, size: name.length, sha256: name };
}

test('each file is sent once, whoever wants it, into one volume that all may read', async () => {
  const { daemon, names } = await taking();
  const shelf = new Shelf(daemon.engine, 'image', { owner: 'me' });
  const [xen, one, two] = ['xen', 'one', 'two'].map(file) as [ReturnType<typeof file>, ReturnType<typeof file>, ReturnType<typeof file>];
  const [first, second] = await Promise.all([shelf.hold([xen, one]), shelf.hold([xen, two])]);
  expect(await shelf.hold([one, two])).toEqual(first);
  expect(second).toEqual(first);
  expect(first.at).toBe(SHELF);
  expect(names.toSorted()).toEqual(['one', 'two', 'xen']);
  await shelf.remove(() => {});
  const lines = daemon.lines();
  expect(lines.filter((line) => /create$/.test(line))).toEqual(['POST /volumes/create', 'POST /containers/create']);
  expect(lines.slice(-2)).toEqual(['DELETE /containers/c', `DELETE /volumes/${first.volume}`]);
});

test('what could not be sent is sent again for the next who wants it', async () => {
  const { daemon, names } = await taking();
  const take = daemon.script['PUT /containers/c/archive'] as Script[string];
  daemon.script['PUT /containers/c/archive'] = refuse(500, 'no space left on device');
  const shelf = new Shelf(daemon.engine, 'image', {});
  const xen = file('xen');
  expect(await thrownBy(() => shelf.hold([xen]))).toMatchObject({ message: expect.stringContaining('no space left') });
  daemon.script['PUT /containers/c/archive'] = take;
  await shelf.hold([xen]);
  expect(names).toEqual(['xen']);
});

test('an engine that refuses the container keeps no volume of ours, and is asked again', async () => {
  const { daemon } = await taking();
  daemon.script['POST /containers/create'] = refuse(500);
  const shelf = new Shelf(daemon.engine, 'image', {});
  expect(await thrownBy(() => shelf.hold([]))).toMatchObject({ code: expect.stringMatching(/^ENGINE/) });
  expect(daemon.lines().at(-1)).toMatch(/^DELETE \/volumes\//);
  daemon.script['POST /containers/create'] = json(201, { Id: 'c' });
  await shelf.hold([]);
});

test('a shelf that nobody used has nothing to remove', async () => {
  const daemon = await fakeDaemon();
  await new Shelf(daemon.engine, 'image', {}).remove(() => {});
  expect(daemon.lines()).toEqual([]);
});
