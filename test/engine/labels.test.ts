import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ownerGone, ownerLabels, sweep, thisOwner } from '../../src/engine/labels.ts';
import { processStart } from '../../src/util/process-start.ts';
import { empty, type FakeDaemon, fakeDaemon, json, refuse } from '../support/fake-daemon.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const mine = thisOwner('run-1');
const labelsOf = (change: Partial<typeof mine> = {}) => ownerLabels({ ...mine, ...change });

/** The id of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn('true');
  await once(child, 'exit');
  return child.pid as number;
}

test('what this process owns is not gone', () => {
  expect(ownerGone(labelsOf())).toBe(false);
});

test('what a process that has ended owned is gone', async () => {
  expect(ownerGone(labelsOf({ pid: await deadPid() }))).toBe(true);
});

test('a process id that is in use again by another process does not keep things', () => {
  expect(ownerGone(labelsOf({ started: String(Number(mine.started) - 1) }))).toBe(true);
});

test('what was made before this machine was booted is gone, though its process id is in use', () => {
  expect(ownerGone(labelsOf({ boot: 'an-earlier-boot' }))).toBe(true);
});

test('what another machine owns on a shared engine is not ours to judge', async () => {
  expect(ownerGone(labelsOf({ machine: 'another/host', boot: 'its-boot', pid: await deadPid() }))).toBe(false);
});

test('what a container beside ours owns, whose process ids mean nothing here, is not ours to judge', async () => {
  expect(ownerGone(labelsOf({ space: 'pid:[1]', pid: await deadPid() }))).toBe(false);
});

test('what is not labelled as our work is never gone', async () => {
  const labels = labelsOf({ pid: await deadPid() });
  expect(ownerGone(undefined)).toBe(false);
  expect(ownerGone({})).toBe(false);
  expect(ownerGone({ ...labels, 'pvgrub-forge': 'image' })).toBe(false);
  const { 'pvgrub-forge': _, ...others } = labels;
  expect(ownerGone(others)).toBe(false);
});

test('a process’s start is read right, whatever its name is', async () => {
  const program = join(tempFolder(), ') 1 2 (');
  symlinkSync('/bin/sh', program);
  const child = spawn(program, ['-c', 'printf ready; read line']);
  await once(child.stdout, 'data');
  expect(Number(processStart(child.pid as number))).toBeGreaterThanOrEqual(Number(processStart(process.pid)));
  child.stdin.end();
  await once(child, 'exit');
  expect(processStart(child.pid as number)).toBeUndefined();
});

const removals = (daemon: FakeDaemon) => daemon.calls.filter(({ line }) => line.startsWith('DELETE')).map(({ target }) => target);

async function daemonWithWork(): Promise<FakeDaemon> {
  const dead = labelsOf({ pid: await deadPid() });
  const other = { 'some.other': 'label' };
  return fakeDaemon({
    'GET /containers/json': json(200, [
      { Id: 'alive', Labels: labelsOf() },
      { Id: 'dead', Labels: dead },
      { Id: 'foreign', Labels: other },
      { Id: 'dead2', Labels: dead },
    ]),
    'GET /volumes': json(200, {
      Volumes: [
        { Name: 'v-dead', Labels: dead },
        { Name: 'v-alive', Labels: labelsOf() },
        { Name: 'v-foreign', Labels: null },
      ],
    }),
    'DELETE *': empty(),
  });
}

test('a sweep removes what is ours and whose owner is gone, and nothing else', async () => {
  const daemon = await daemonWithWork();
  expect(await sweep(daemon.engine)).toBe(3);
  expect(removals(daemon)).toEqual(['/containers/dead?force=true&v=true', '/containers/dead2?force=true&v=true', '/volumes/v-dead']);
});

test('a sweep asks only for what bears our label, containers that ended too', async () => {
  const daemon = await daemonWithWork();
  await sweep(daemon.engine);
  const [containers, volumes] = ['GET /containers/json', 'GET /volumes'].map(
    (line) => daemon.calls.find((call) => call.line === line)?.query,
  );
  expect(containers?.get('all')).toBe('true');
  for (const query of [containers, volumes]) expect(JSON.parse(query?.get('filters') ?? '')).toEqual({ label: ['pvgrub-forge=work'] });
});

test.each([404, 409])('a leftover that someone else has removed, or removes just now (%i), is no error', async (status) => {
  const daemon = await daemonWithWork();
  daemon.script['DELETE /containers/dead'] = refuse(status);
  daemon.script['DELETE /volumes/v-dead'] = refuse(status);
  expect(await sweep(daemon.engine)).toBe(1);
  expect(removals(daemon)).toHaveLength(3);
});

test('an engine with no volumes at all says null, and that is fine', async () => {
  const daemon = await fakeDaemon({ 'GET /containers/json': json(200, []), 'GET /volumes': json(200, { Volumes: null }) });
  expect(await sweep(daemon.engine)).toBe(0);
});

test('any other failure of a sweep is one of our errors', async () => {
  const daemon = await daemonWithWork();
  daemon.script['DELETE /containers/dead'] = refuse(500, 'device busy');
  expect(await thrownBy(() => sweep(daemon.engine))).toMatchObject({ code: 'ENGINE_REFUSED' });
  daemon.die();
  expect(await thrownBy(() => sweep(daemon.engine))).toMatchObject({ code: 'ENGINE_LOST' });
});
