import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { productRoot } from '../../src/catalog/load.ts';
import { type BaseOptions, ensureBase } from '../../src/engine/base-image.ts';
import type { EngineError } from '../../src/errors.ts';
import { processStart } from '../../src/util/process-start.ts';
import { empty, type FakeDaemon, fakeDaemon, json, refuse, type Script, until } from '../support/fake-daemon.ts';
import { fakePrograms } from '../support/fake-programs.ts';
import { thrownBy } from '../support/temp-folder.ts';

const image = (more: object = {}) => json(200, { Id: 'sha256:1', Os: 'linux', Architecture: 'amd64', Config: {}, ...more });
/** The reference that the catalog pins. */
const { repository, digest } = JSON.parse(readFileSync(join(productRoot, 'catalog/debian.json'), 'utf8')).images.bookworm;
const OFFICIAL = `${repository}@${digest}`;
const MADE = 'pvgrub-forge-base:bookworm';

/** A daemon that has no image but those of the script, and gets none pulled. */
const daemonWithout = (script: Script = {}) =>
  fakeDaemon({ 'GET /images/*': refuse(404), 'POST /images/create': refuse(500, 'no registry'), ...script });

const ensure = (daemon: FakeDaemon, more: Partial<BaseOptions> = {}) =>
  ensureBase(daemon.engine, {
    wanted: 'auto',
    suite: 'bookworm',
    debianMirror: 'http://mirror.invalid/debian',
    offline: false,
    say: () => {},
    ...more,
  });

test.each([
  { Architecture: 'arm64', Os: 'linux' },
  { Architecture: 'amd64', Os: 'windows' },
])('an image of another platform ($Os/$Architecture) is refused, though its tag is right', async (platform) => {
  const daemon = await daemonWithout({
    'GET /images/mine:1/json': image(platform),
    [`GET /images/${OFFICIAL}/json`]: image(platform),
  });
  for (const wanted of ['mine:1', 'auto']) {
    expect(await thrownBy(() => ensure(daemon, { wanted }))).toMatchObject({ code: 'BASE_UNAVAILABLE', expected: 'linux/amd64' });
  }
});

test('an image that the user names is taken as it is on the engine, and not pulled', async () => {
  const daemon = await daemonWithout({ 'GET /images/mine:1/json': image({ RepoDigests: ['mine@sha256:2'] }) });
  expect(await ensure(daemon, { wanted: 'mine:1' })).toEqual({ reference: 'mine:1', how: 'given by the user: sha256:2' });
  expect(daemon.lines()).toEqual(['GET /images/mine:1/json']);
});

test('a pull that fails inside an answer of 200 is a failure, and its reason is told', async () => {
  const daemon = await daemonWithout({
    'POST /images/create': (response) => void response.writeHead(200).end('{"status":"Pulling"}\n{"error":"manifest unknown"}'),
  });
  const error = (await thrownBy(() => ensure(daemon, { offline: false, wanted: 'mine:1' }))) as EngineError;
  expect(error.code).toBe('BASE_UNAVAILABLE');
  expect(daemon.calls[1]?.query.get('fromImage')).toBe('mine');
  expect(daemon.calls[1]?.query.get('platform')).toBe('linux/amd64');
});

test('the official image is pulled by the digest that the catalog pins, and recorded by it', async () => {
  const daemon = await daemonWithout();
  daemon.script['POST /images/create'] = (response) => {
    daemon.script[`GET /images/${OFFICIAL}/json`] = image({ RepoDigests: [OFFICIAL] });
    response.writeHead(200).end('{"status":"done"}\n');
  };
  expect(await ensure(daemon)).toEqual({ reference: OFFICIAL, how: `pulled: ${OFFICIAL}` });
  const asked = daemon.calls.find(({ query }) => query.has('fromImage'))?.query;
  expect([asked?.get('fromImage'), asked?.get('tag')]).toEqual(OFFICIAL.split('@'));
});

test('an image that an earlier run made is taken again', async () => {
  const daemon = await daemonWithout({
    [`GET /images/${MADE}/json`]: image({ Config: { Labels: { 'pvgrub-forge.base': 'made with mmdebstrap bookworm' } } }),
  });
  expect(await ensure(daemon)).toEqual({ reference: MADE, how: 'made with mmdebstrap bookworm' });
});

test('offline nothing is pulled and nothing made, and the error says so', async () => {
  const daemon = await daemonWithout();
  const error = (await thrownBy(() => ensure(daemon, { offline: true }))) as EngineError;
  expect(error.message).toContain('not pulled, because of --offline');
  expect(error.message).toContain('mmdebstrap: not run, because of --offline');
  expect(daemon.lines().filter((line) => line.startsWith('POST'))).toEqual([]);
});

/** A daemon that imports what it is given; the registry is silent. */
async function importer(): Promise<{ daemon: FakeDaemon; imported: () => string }> {
  let body = '';
  const daemon = await daemonWithout({
    'POST /images/create': async (response, call) => {
      if (call.query.get('fromSrc') !== '-') return refuse(500, 'no registry')(response, call);
      body = (await call.body()).toString();
      response.writeHead(200).end('{"status":"sha256:new"}\n');
    },
    'POST /images/sha256:new/tag': empty(201),
    'DELETE /images/sha256:new': json(200, []),
  });
  return { daemon, imported: () => body };
}

const VERSION = '[ "$1" = --version ] && exit 0';

test('where no registry answers, mmdebstrap makes a base from the mirror, which is imported', async () => {
  const programs = fakePrograms({ mmdebstrap: `${VERSION}; printf 'a tar'`, 'apt-get': 'exit 1' });
  const { daemon, imported } = await importer();
  expect(await ensure(daemon)).toEqual({ reference: MADE, how: 'made with mmdebstrap bookworm' });
  expect(imported()).toBe('a tar');
  expect(programs.calls().at(-1)).toContain('bookworm - deb http://mirror.invalid/debian bookworm main');
  const tagged = daemon.calls.find((call) => call.line.endsWith('/tag'));
  expect(`${tagged?.query.get('repo')}:${tagged?.query.get('tag')}`).toBe(MADE);
});

test('a base whose making failed half-way never gets the name that later runs look for', async () => {
  fakePrograms({ mmdebstrap: `${VERSION}; printf 'half a'; echo 'E: no space' >&2; exit 1`, 'apt-get': 'exit 1' });
  const { daemon } = await importer();
  const error = (await thrownBy(() => ensure(daemon))) as EngineError;
  expect(error).toMatchObject({ code: 'BASE_UNAVAILABLE' });
  expect(error.message).toContain('mmdebstrap: E: no space');
  expect(daemon.lines()).not.toContain('POST /images/sha256:new/tag');
  expect(daemon.lines().at(-1)).toBe('DELETE /images/sha256:new');
  // The import itself names nothing either: it is there before one knows how mmdebstrap ended.
  for (const call of daemon.calls) if (call.query.get('fromSrc') === '-') expect(call.query.get('repo')).toBeNull();
});

test('an abort while the base is made is the signal’s reason, and leaves no image behind', async () => {
  const programs = fakePrograms({ mmdebstrap: `${VERSION}; exec sleep 20`, 'apt-get': 'exit 1' });
  const { daemon } = await importer();
  const reason = new Error('stopped by hand');
  const controller = new AbortController();
  const making = thrownBy(() => ensure(daemon, { wanted: 'mmdebstrap', signal: controller.signal }));
  await until('the start of mmdebstrap', () => programs.calls().some((line) => line.includes('deb http')));
  controller.abort(reason);
  expect(await making).toBe(reason);
  // What had come so far, which was nothing, an engine imports without a complaint.
  expect(daemon.lines()).not.toContain('POST /images/sha256:new/tag');
  expect(daemon.lines().at(-1)).toBe('DELETE /images/sha256:new');
});

test('an import that the engine refuses is told, and mmdebstrap is stopped', async () => {
  const programs = fakePrograms({ mmdebstrap: `${VERSION}; echo $$ > "$0.pid"; printf 'a tar'; exec sleep 20`, 'apt-get': 'exit 1' });
  const daemon = await daemonWithout({ 'POST /images/create': refuse(500, 'no room') });
  const error = (await thrownBy(() => ensure(daemon, { wanted: 'mmdebstrap' }))) as EngineError;
  expect(error.message).toContain('no room');
  expect(processStart(Number(readFileSync(join(programs.folder, 'mmdebstrap.pid'), 'utf8')))).toBeUndefined();
});
