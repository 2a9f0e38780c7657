import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newKey } from '../../src/publish/key.ts';
import { prehash, verifyMinisign } from '../../src/publish/minisign.ts';
import { ociTarget } from '../../src/publish/oci-target.ts';
import { preparedImages } from '../../src/publish/prepare.ts';
import { publish } from '../../src/publish/publish.ts';
import { placeAt } from '../../src/pull/place.ts';
import { pullImage } from '../../src/pull/pull.ts';
import { readIndex } from '../../src/pull/read-index.ts';
import { type Manifest, Registry } from '../../src/pull/registry.ts';
import { verifyPublication } from '../../src/pull/verify.ts';
import { sha256 } from '../../src/util/hash.ts';
import { serve } from '../support/http-server.ts';
import { hasJudge } from '../support/judges.ts';
import { lastingFolder } from '../support/lasting-folder.ts';
import { makeArtifacts, noWishes } from '../support/published.ts';
import { memoryRegistry } from '../support/registry.ts';
import { tempFolder } from '../support/temp-folder.ts';

const key = newKey();
const demands = () => ({ key: key.public, now: new Date() });
const artifacts = lastingFolder();
const [WIDE, NARROW] = ['pv-grub-4.17.5-x86_64', 'pv-grub-4.17.5-x86_32'];

beforeAll(async () => {
  await makeArtifacts(artifacts, WIDE, key, { size: 80_000 });
  await makeArtifacts(artifacts, NARROW, key, { size: 70_000 });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Debian's registry, in a folder of its own. @returns its host and port */
async function startRegistry(auth = ''): Promise<string> {
  const folder = lastingFolder();
  const port = await freePort();
  writeFileSync(
    join(folder, 'config.yml'),
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${folder}/data}}\nhttp: {addr: "127.0.0.1:${port}"}\n${auth}`,
  );
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
  afterAll(() => void child.kill('SIGKILL'));
  for (let i = 0; i < 100; i++) {
    const up = await fetch(`http://127.0.0.1:${port}/v2/`).then(
      () => true,
      () => false,
    );
    if (up) return `127.0.0.1:${port}`;
    await sleep(50);
  }
  throw new Error('the registry does not come up');
}

async function publishTo(address: string, ids: string[] = [WIDE, NARROW]) {
  const prepared = await preparedImages(artifacts, () => ids, key);
  return publish({ ...ociTarget(address), prepared, wishes: noWishes, key, allowUnproven: false, now: new Date() });
}

describe.skipIf(!hasJudge('docker-registry'))("in Debian's registry", () => {
  let host: string;
  beforeAll(async () => {
    host = await startRegistry();
  });

  test('a publication is published, verified, pulled, and the same again changes nothing', async () => {
    const address = `oci://${host}/ours/pv-grub`;
    expect(await publishTo(address, [WIDE])).toMatchObject({ added: [WIDE], untouched: false });
    const { digest } = (await new Registry(address).manifest('index')) as { digest: string };
    expect(await publishTo(address, [WIDE])).toMatchObject({ untouched: true });
    expect((await new Registry(address).manifest('index'))?.digest).toBe(digest);
    expect(await publishTo(address)).toMatchObject({ added: [NARROW] });
    const place = await placeAt(address);
    const { index } = await verifyPublication(place, demands());
    expect(index.images.map(({ id }) => id)).toEqual([NARROW, WIDE]);
    const folder = tempFolder();
    for (const image of index.images) {
      const { path } = await pullImage(place, image, key.public, folder, {});
      expect(sha256(readFileSync(path))).toBe(image.image.sha256);
    }
  });

  test('each image is an artifact with its id as a tag, and what attests it refers to it', async () => {
    const address = `oci://${host}/tags`;
    await publishTo(address);
    const registry = new Registry(address);
    const { manifest, digest } = (await registry.manifest(WIDE)) as { manifest: Manifest; digest: string };
    const image = readFileSync(join(artifacts, 'pv-grub/4.17.5/x86_64/pv-grub-x86_64.gz'));
    expect(manifest).toMatchObject({
      artifactType: 'application/vnd.pvgrub-forge.image.v1',
      layers: [{ digest: `sha256:${sha256(image)}`, annotations: { 'org.opencontainers.image.title': 'pv-grub-x86_64.gz' } }],
    });
    // This registry does not know referrers: the tag that the specification names for it has them.
    const manifests = (await registry.manifest(digest.replace(':', '-')))?.manifest.manifests ?? [];
    expect(manifests.map(({ artifactType }) => artifactType)).toEqual(
      expect.arrayContaining([
        'application/vnd.in-toto+json',
        'application/vnd.cyclonedx+json',
        'application/vnd.pvgrub-forge.minisign.v1',
      ]),
    );
    for (const { digest: one } of manifests) expect((await registry.manifest(one))?.manifest.subject?.digest).toBe(digest);
  });

  test.skipIf(!hasJudge('skopeo'))('skopeo copies an image out of it', async () => {
    const address = `oci://${host}/copied`;
    await publishTo(address);
    const folder = tempFolder();
    execFileSync('skopeo', ['copy', '--src-tls-verify=false', `docker://${host}/copied:${WIDE}`, `dir:${folder}`], { stdio: 'pipe' });
    const image = readFileSync(join(artifacts, 'pv-grub/4.17.5/x86_64/pv-grub-x86_64.gz'));
    expect(readFileSync(join(folder, sha256(image)))).toEqual(image);
  });

  test('there is nothing where nothing was published', async () => {
    await expect(readIndex(await placeAt(`oci://${host}/nothing`), demands())).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    await expect(placeAt('oci://no-repository')).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  test.skipIf(!hasJudge('htpasswd'))('lets in who has logged in, and nobody else', async () => {
    const users = join(lastingFolder(), 'users');
    writeFileSync(users, execFileSync('htpasswd', ['-Bbn', 'jane', 'secret'], { encoding: 'utf8' }));
    const closed = await startRegistry(`auth: {htpasswd: {realm: closed, path: ${users}}}\n`);
    const address = `oci://${closed}/pv-grub`;
    process.env['DOCKER_CONFIG'] = tempFolder();
    await expect(publishTo(address)).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED', hint: expect.stringContaining('docker login') });
    const login = (password: string) => {
      const auths = { [closed]: { auth: Buffer.from(`jane:${password}`).toString('base64') } };
      writeFileSync(join(process.env['DOCKER_CONFIG'] as string, 'config.json'), JSON.stringify({ auths }));
    };
    login('wrong');
    await expect(publishTo(address)).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    login('secret');
    expect((await publishTo(address)).added).toEqual([NARROW, WIDE]);
    delete process.env['DOCKER_CONFIG'];
  });
});

test('a registry that gives tokens is asked for one, with what docker login has left', async () => {
  const asked: string[] = [];
  const server = await serve((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization ?? ''}`);
    if (request.url?.startsWith('/token')) return void response.writeHead(200).end('{"token":"abc"}');
    if (request.headers.authorization === 'Bearer abc') return void response.writeHead(404).end();
    const challenge = `Bearer realm="${server.url}/token",service="ours",scope="repository:pv-grub:pull"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
  });
  const host = server.url.replace('http://', '');
  process.env['DOCKER_CONFIG'] = tempFolder();
  mkdirSync(process.env['DOCKER_CONFIG'], { recursive: true });
  writeFileSync(join(process.env['DOCKER_CONFIG'], 'config.json'), JSON.stringify({ auths: { [host]: { auth: 'amFuZTpz' } } }));
  expect(await new Registry(`oci://${host}/pv-grub`).manifest('index')).toBeUndefined();
  expect(asked[1]).toBe('/token?service=ours&scope=repository%3Apv-grub%3Apull Basic amFuZTpz');
  delete process.env['DOCKER_CONFIG'];
});

test.each([
  ['a blob that is another', (bytes: Buffer) => Buffer.alloc(bytes.length, 'x')],
  ['a blob that is cut', (bytes: Buffer) => bytes.subarray(0, 100)],
])('%s is found out', async (_what, change) => {
  const registry = await memoryRegistry();
  const { index } = await publishTo(registry.address, [WIDE]);
  const [image] = index.images as [(typeof index.images)[0]];
  registry.lie = (digest, bytes) => (digest === `sha256:${image.image.sha256}` ? change(bytes) : bytes);
  const place = await placeAt(registry.address);
  await readIndex(place, demands());
  await expect(pullImage(place, image, key.public, tempFolder(), {})).rejects.toMatchObject({ code: 'FILE_DIFFERS' });
  await expect(verifyPublication(place, demands())).rejects.toMatchObject({ code: 'PUBLICATION_BROKEN' });
});

test('a registry that keeps referrers itself gets no tags for them', async () => {
  const registry = await memoryRegistry();
  await publishTo(registry.address);
  const tags = [...registry.manifests.keys()].filter((name) => !name.startsWith('sha256:'));
  expect(tags.filter((name) => name.startsWith('sha256-'))).toEqual([]);
  expect(tags).toEqual(expect.arrayContaining(['index', WIDE, NARROW]));
});

test('cut off at any step, readers see what was published before or after, whole; publishing again finishes it', async () => {
  const registry = await memoryRegistry();
  await publishTo(registry.address, [WIDE]);
  const before = { blobs: new Map(registry.blobs), manifests: new Map(registry.manifests) };
  const seen = new Set<number>();
  let steps = 0;
  for (let done = false; !done; steps++) {
    for (const part of ['blobs', 'manifests'] as const) {
      registry[part].clear();
      for (const [name, bytes] of before[part]) registry[part].set(name, bytes);
    }
    registry.writes = steps;
    done = await publishTo(registry.address).then(
      () => true,
      () => false,
    );
    registry.writes = Number.POSITIVE_INFINITY;
    const place = await placeAt(registry.address);
    seen.add((await verifyPublication(place, demands())).index.images.length);
    await publishTo(registry.address);
    expect((await verifyPublication(place, demands())).index.images).toHaveLength(2);
    expect(registry.manifests.get(NARROW)).toBeDefined();
  }
  expect([...seen]).toEqual([1, 2]);
  expect(steps).toBeGreaterThan(15);
}, 120_000);

describe('a hostile registry is refused with an error of its own', () => {
  const challenge = (url: string) => ({ 'www-authenticate': `Bearer realm="${url}/token",service="x",scope="y"` });
  type Answer = (request: IncomingMessage, response: ServerResponse, url: string) => void;
  const endless = (response: ServerResponse) => {
    response.writeHead(200);
    const chunk = Buffer.alloc(1 << 16, ' ');
    const more = () => void (response.destroyed || response.write(chunk, more));
    more();
  };
  const cases: [string, Answer][] = [
    [
      'whose tokens have no end',
      (request, response, url) =>
        request.url === '/v2/pv-grub/manifests/index' ? response.writeHead(401, challenge(url)).end() : endless(response),
    ],
    [
      'whose tokens are no JSON',
      (request, response, url) =>
        request.url?.startsWith('/token') ? response.writeHead(200).end('<html>') : response.writeHead(401, challenge(url)).end(),
    ],
    [
      'whose tokens are nothing',
      (request, response, url) =>
        request.url?.startsWith('/token') ? response.writeHead(200).end('null') : response.writeHead(401, challenge(url)).end(),
    ],
    ['whose tokens are nowhere', (_request, response) => response.writeHead(401, challenge('http://127.0.0.1:1')).end()],
    ['whose challenge is nonsense', (_request, response) => response.writeHead(401, { 'www-authenticate': 'Bearer realm=' }).end()],
    ['whose manifest has no end', (_request, response) => endless(response)],
    ['whose manifest is nothing', (_request, response) => response.writeHead(200).end('null')],
    [
      'whose manifest has layers that are none',
      (_request, response) => response.writeHead(200).end('{"schemaVersion":2,"mediaType":"x","layers":{}}'),
    ],
  ];
  test.each(cases)('%s', async (_what, answer) => {
    const server = await serve((request, response) => void answer(request, response, server.url));
    const place = await placeAt(`oci://${server.url.replace('http://', '')}/pv-grub`);
    await expect(readIndex(place, demands())).rejects.toMatchObject({
      code: expect.stringMatching(/^(DOWNLOAD_FAILED|SOURCE_TOO_LARGE)$/),
    });
  });

  test.each(['http://', '', 'no url at all\u0000'])('that sends an upload to "%s"', async (location) => {
    const server = await serve((request, response) => {
      if (request.method === 'POST') return void response.writeHead(202, { location: encodeURI(location) }).end();
      response.writeHead(404).end();
    });
    await expect(publishTo(`oci://${server.url.replace('http://', '')}/pv-grub`)).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
  });
});

test('a reader keeps to the index that it has begun with, whatever is published meanwhile', async () => {
  const registry = await memoryRegistry();
  await publishTo(registry.address, [WIDE]);
  const before = new Map(registry.manifests);
  await publishTo(registry.address);
  const after = registry.manifests.get('index') as Buffer;
  registry.manifests.set('index', before.get('index') as Buffer);
  const place = await placeAt(registry.address);
  const index = await place.read('index.json', 1 << 20);
  registry.manifests.set('index', after);
  const signature = (await place.read('index.json.minisig', 10_000)) as Buffer;
  expect(index).toBeDefined();
  expect(verifyMinisign(prehash(index as Buffer), signature.toString(), key.public, 'it')).toContain('file:index.json');
});

test('the tag of an image that is withdrawn gives the image no more', async () => {
  const registry = await memoryRegistry();
  await publishTo(registry.address);
  const wishes = { ...noWishes, withdraw: [WIDE] };
  await publish({ ...ociTarget(registry.address), prepared: [], wishes, key, allowUnproven: false, now: new Date() });
  const { manifest } = (await new Registry(registry.address).manifest(WIDE)) as { manifest: Manifest };
  expect(manifest.artifactType).toBe('application/vnd.pvgrub-forge.withdrawn.v1');
  expect((await verifyPublication(await placeAt(registry.address), demands())).index.images.map(({ id }) => id)).toEqual([NARROW]);
});

test('who publishes while somebody else has done so is told, and undoes nothing', async () => {
  const registry = await memoryRegistry();
  await publishTo(registry.address, [WIDE]);
  const { target } = ociTarget(registry.address);
  await target.lock();
  await publishTo(registry.address);
  await expect(target.commit(new Map([['index.json', Buffer.from('{}')]]))).rejects.toMatchObject({
    code: 'FILE_THERE',
    hint: 'publish again',
  });
  expect((await verifyPublication(await placeAt(registry.address), demands())).index.images).toHaveLength(2);
});

test('who we are to a registry is not told to the place where it sends uploads', async () => {
  const elsewhere = await serve((request, response) => void request.resume().on('end', () => response.writeHead(201).end()));
  const server = await serve((request, response) => {
    if (request.headers.authorization === undefined) return void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    if (request.method === 'POST') return void response.writeHead(202, { location: `${elsewhere.url}/upload` }).end();
    response.writeHead(404).end();
  });
  const host = server.url.replace('http://', '');
  process.env['DOCKER_CONFIG'] = tempFolder();
  writeFileSync(join(process.env['DOCKER_CONFIG'], 'config.json'), JSON.stringify({ auths: { [host]: { auth: 'amFuZTpz' } } }));
  expect(await new Registry(`oci://${host}/pv-grub`).putBlob(Buffer.from('a blob'))).toBe(true);
  delete process.env['DOCKER_CONFIG'];
  expect(server.requests.at(-1)?.headers.authorization).toBe('Basic amFuZTpz');
  expect(elsewhere.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
});
