import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { claim } from '../../src/sources/claim.ts';
import { Store } from '../../src/sources/store.ts';
import { processStart } from '../../src/util/process-start.ts';
import { tempFolder } from '../support/tar-maker.ts';

test('one partial file belongs to one run at a time', async () => {
  const file = join(tempFolder(), 'thing.tar');
  const first = await claim(file);
  expect(first).toBeDefined();
  expect(await claim(file)).toBeUndefined();
  await first?.();
  expect(await claim(file)).toBeDefined();
});

test('the mark of a process that is gone does not count, that of one that lives does', async () => {
  const file = join(tempFolder(), 'thing.tar');
  const child = spawn('sleep', ['60']);
  writeFileSync(`${file}.owner`, `${child.pid}.${processStart(child.pid as number)}`);
  expect(await claim(file)).toBeUndefined();
  child.kill('SIGKILL');
  await once(child, 'close');
  expect(await claim(file)).toBeDefined();
  expect(readFileSync(`${file}.owner`, 'utf8')).toMatch(new RegExp(`^${process.pid}\\.`));
});

test.each(['', 'nonsense', '123'])('a mark that says "%s" is of nobody', async (mark) => {
  const file = join(tempFolder(), 'thing.tar');
  writeFileSync(`${file}.owner`, mark);
  expect(await claim(file)).toBeDefined();
  expect(readdirSync(join(file, '..'))).toEqual(['thing.tar.owner']);
});

test('of many who find the mark of a process that is gone, one gets the claim', async () => {
  for (let round = 0; round < 20; round++) {
    const file = join(tempFolder(), 'thing.tar');
    writeFileSync(`${file}.owner`, '999999.1');
    const got = await Promise.all(Array.from({ length: 4 }, () => claim(file)));
    expect(got.filter((release) => release !== undefined)).toHaveLength(1);
  }
});

test('what a killed run left half-made goes after a day, and a cut download stays', async () => {
  const store = new Store(join(tempFolder(), 'store'));
  const incoming = await store.incoming();
  const files = ['.old.tar.abc.part', '.new.tar.abc.part', '0123-cut.tar'].map((name) => join(incoming, name));
  for (const file of files) writeFileSync(file, '');
  for (const file of [files[0], files[2]] as string[]) utimesSync(file, 0, 0);
  await store.incoming();
  expect(files.map((file) => existsSync(file))).toEqual([false, true, true]);
});
