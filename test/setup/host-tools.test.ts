import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HOST_TOOLS, missingTools, which } from '../../src/setup/host-tools.ts';
import { privateData, privateRun, privateSocket } from '../../src/setup/private-paths.ts';
import { fakePrograms, setEnv } from '../support/fake-programs.ts';
import { tempFolder } from '../support/temp-folder.ts';

function program(folder: string, name: string, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, '#!/bin/sh\n');
  chmodSync(path, mode);
  return path;
}

test('the first folder of PATH that has a program wins', async () => {
  const [a, b] = [tempFolder(), tempFolder()];
  const second = program(b, 'pvgrub-tool');
  expect(await which('pvgrub-tool', { PATH: `${a}:${b}` })).toBe(second);
  const first = program(a, 'pvgrub-tool');
  expect(await which('pvgrub-tool', { PATH: `${a}:${b}` })).toBe(first);
});

test('a folder, a link that leads nowhere and a file that may not be run are no programs', async () => {
  const folder = tempFolder();
  mkdirSync(join(folder, 'tool-a'));
  symlinkSync('nowhere', join(folder, 'tool-b'));
  program(folder, 'tool-c', 0o644);
  for (const name of ['tool-a', 'tool-b', 'tool-c', 'tool-d']) expect(await which(name, { PATH: folder })).toBeUndefined();
});

test('a PATH that is empty or not set is searched without an error, and the present folder is never meant', async () => {
  expect(await which('pvgrub-no-such-tool', {})).toBeUndefined();
  expect(await which('package.json', { PATH: '::' })).toBeUndefined();
});

test('the tools that are missing are named with their packages', async () => {
  setEnv({ PATH: tempFolder() });
  // The system's own folders are always searched, and none of these lies there.
  expect((await missingTools()).map((tool) => tool.package)).toEqual(HOST_TOOLS.map((tool) => tool.package));
  fakePrograms({ git: 'true', gpgv: 'true' });
  expect((await missingTools()).map((tool) => tool.command)).toEqual(['xz', 'bzip2', 'mmdebstrap']);
});

test('the private engine’s folders follow the environment', () => {
  expect(privateRun({})).toBe('/run/pvgrub-forge');
  expect(privateSocket({ PVGRUB_ENGINE_RUN: '/run/x' })).toBe('/run/x/docker.sock');
  expect(privateData({ XDG_STATE_HOME: '/state' })).toBe('/state/pvgrub-forge/engine');
  expect(privateData({ HOME: '/home/me' })).toBe('/home/me/.local/state/pvgrub-forge/engine');
});
