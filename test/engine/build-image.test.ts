import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cacheFolder } from '../../src/config/settings.ts';
import { ensureBuildImage } from '../../src/engine/build-image.ts';
import { buildDockerfile, lastManifest } from '../../src/engine/manifest.ts';
import { sha256 } from '../../src/util/hash.ts';
import { daemonWith, empty, FakeContainer, type FakeDaemon, json, refuse } from '../support/fake-daemon.ts';
import { thrownBy } from '../support/temp-folder.ts';

const settings = {
  image: { base: 'my-base:1', suite: 'bookworm' as const },
  debianMirror: undefined,
  store: '/nonexistent',
  offline: false,
};
const PROXIES = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
const kept = new Map<string, string | undefined>();

beforeEach(() => {
  for (const name of PROXIES) {
    kept.set(name, process.env[name]);
    delete process.env[name];
  }
});
afterEach(() => {
  for (const [name, value] of kept) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  rmSync(join(cacheFolder(), 'manifests'), { recursive: true, force: true });
});

interface Bench {
  daemon: FakeDaemon;
  /** The body of the last POST /build. */
  context: () => Buffer;
}

/** A daemon that has the base, and the build image as soon as it was built. */
async function bench(built = '{"stream":"Successfully built 1"}\n'): Promise<Bench> {
  let body: Buffer = Buffer.alloc(0);
  const labels: Record<string, string> = {};
  let there = false;
  const { daemon } = await daemonWith(new FakeContainer({ output: ['ii |gcc:amd64=12\n'] }), {
    'GET /images/*': refuse(404),
    'GET /images/my-base:1/json': json(200, { Id: 'sha256:base', Os: 'linux', Architecture: 'amd64', Config: {} }),
    'GET /images/pvgrub-forge-build:*': (response, call) =>
      (there ? json(200, { Id: 'sha256:built', Config: { Labels: labels } }) : refuse(404))(response, call),
    'POST /build': async (response, call) => {
      body = await call.body();
      Object.assign(labels, JSON.parse(call.query.get('labels') ?? '{}'));
      there = !built.includes('error');
      response.writeHead(200).end(built);
    },
    'POST /containers/create': json(201, { Id: 'c' }),
    'DELETE /containers/c': empty(),
  });
  return { daemon, context: () => body };
}

const ensure = ({ daemon }: Bench) => ensureBuildImage(daemon.engine, { settings, labels: {}, say: () => {} });
const builds = ({ daemon }: Bench) => daemon.calls.filter((call) => call.line === 'POST /build');

test('the build image is built once, and found by the next run', async () => {
  const one = await bench();
  const first = await ensure(one);
  const second = await ensure(one);
  expect(builds(one)).toHaveLength(1);
  expect(first).toEqual(second);
  expect(first).toMatchObject({
    id: 'sha256:built',
    manifest: { packages: ['gcc:amd64=12'], base: 'given by the user: sha256:base' },
  });
});

test('its context is the Dockerfile alone', async () => {
  const one = await bench();
  await ensure(one);
  const parser = extract();
  Readable.from([one.context()]).pipe(parser);
  const files: Record<string, string> = {};
  for await (const entry of parser) {
    let text = '';
    for await (const chunk of entry) text += chunk;
    files[entry.header.name] = text;
  }
  expect(files).toEqual({ Dockerfile: await buildDockerfile() });
});

test('its build gets the base, and with no proxy set nothing else of the environment', async () => {
  const one = await bench();
  await ensure(one);
  const query = builds(one)[0]?.query;
  expect(JSON.parse(query?.get('buildargs') ?? '')).toEqual({ BASE: 'my-base:1' });
  expect(query?.get('networkmode')).toBe('host');
});

test('its build gets the proxies that are set', async () => {
  process.env['https_proxy'] = 'http://proxy.invalid:3128';
  process.env['NO_PROXY'] = 'localhost';
  const one = await bench();
  await ensure(one);
  expect(JSON.parse(builds(one)[0]?.query.get('buildargs') ?? '')).toEqual({
    BASE: 'my-base:1',
    https_proxy: 'http://proxy.invalid:3128',
    NO_PROXY: 'localhost',
  });
});

test('a build that fails inside an answer of 200 is an error, and nothing is remembered', async () => {
  const one = await bench('{"stream":"E: no such package\\n"}\n{"errorDetail":{"message":"exit code 100"}}');
  expect(await thrownBy(() => ensure(one))).toMatchObject({ code: 'IMAGE_BUILD_FAILED', got: 'E: no such package', exit: 4 });
  expect(await lastManifest(settings)).toBeUndefined();
});

test('a build that says nothing wrong but leaves no image is an error', async () => {
  const one = await bench();
  one.daemon.script['GET /images/pvgrub-forge-build:*'] = refuse(404);
  expect(await thrownBy(() => ensure(one))).toMatchObject({ code: 'IMAGE_BUILD_FAILED' });
});

test('an engine that goes away during the build is lost', async () => {
  const one = await bench();
  one.daemon.script['POST /build'] = (response) => {
    response.writeHead(200).write('{"stream":"Step 1"}\n');
    setTimeout(() => response.destroy(), 50);
  };
  expect(await thrownBy(() => ensure(one))).toMatchObject({ code: 'ENGINE_LOST' });
});

test('an abort during the build is the signal’s reason, not an engine’s fault', async () => {
  const one = await bench();
  const controller = new AbortController();
  const reason = new Error('stopped by hand');
  one.daemon.script['POST /build'] = (response) => {
    response.writeHead(200).write('{"stream":"Step 1"}\n');
    setTimeout(() => controller.abort(reason), 50);
  };
  const signal = controller.signal;
  expect(await thrownBy(() => ensureBuildImage(one.daemon.engine, { settings, labels: {}, signal, say: () => {} }))).toBe(reason);
});

test('the manifest is remembered for each choice of base', async () => {
  const { manifest } = await ensure(await bench());
  expect(manifest.dockerfile).toBe(sha256(await buildDockerfile()));
  expect(await lastManifest(settings)).toEqual(manifest);
  expect(await lastManifest({ image: { base: 'auto', suite: 'bookworm' } })).toBeUndefined();
});

/** Change the one manifest that is remembered. */
function rewrite(change: (text: string) => string): void {
  const folder = join(cacheFolder(), 'manifests');
  const [file, ...others] = readdirSync(folder);
  expect(others).toEqual([]);
  const path = join(folder, file as string);
  writeFileSync(path, change(readFileSync(path, 'utf8')));
}

test('a manifest that was made from another Dockerfile does not count', async () => {
  const { manifest } = await ensure(await bench());
  rewrite((text) => text.replace(manifest.dockerfile, sha256('another Dockerfile')));
  expect(await lastManifest(settings)).toBeUndefined();
});

test('a remembered manifest that cannot be read does not count', async () => {
  await ensure(await bench());
  rewrite((text) => text.slice(0, 20));
  expect(await lastManifest(settings)).toBeUndefined();
});

test('offline no build image is made, and the error says how to carry one over', async () => {
  const one = await bench();
  const offline = { ...settings, offline: true };
  const error = await thrownBy(() => ensureBuildImage(one.daemon.engine, { settings: offline, labels: {}, say: () => {} }));
  expect(error).toMatchObject({ code: 'BASE_UNAVAILABLE', hint: expect.stringContaining('docker save') });
  expect(builds(one)).toEqual([]);
  await ensure(one);
  expect(await ensureBuildImage(one.daemon.engine, { settings: offline, labels: {}, say: () => {} })).toMatchObject({ id: 'sha256:built' });
});
