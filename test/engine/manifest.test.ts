import { expect, test } from 'vitest';
import { type Manifest, manifestDigest } from '../../src/engine/manifest.ts';
import { readPackages } from '../../src/engine/read-packages.ts';
import { daemonWith, empty, FakeContainer, frame, json } from '../support/fake-daemon.ts';
import { thrownBy } from '../support/temp-folder.ts';

const manifest: Manifest = { dockerfile: 'd'.repeat(64), packages: ['a:amd64=1', 'b:amd64=2'], base: 'pulled: debian' };

test('a manifest’s digest stays what it was, and does not depend on how the base was got', () => {
  // What `sha256sum` says of {"dockerfile":"dd…","packages":["a:amd64=1","b:amd64=2"]}.
  const digest = 'b3eeaadef80040d007425865071628095ab9cf1e6c48b319e4f8df47b4d7ed35';
  expect(manifestDigest(manifest)).toBe(digest);
  expect(manifestDigest({ ...manifest, base: 'made with mmdebstrap' })).toBe(digest);
});

test('a manifest’s digest changes with the Dockerfile and with every package', () => {
  const digests = [
    manifest,
    { ...manifest, dockerfile: 'e'.repeat(64) },
    { ...manifest, packages: ['a:amd64=1', 'b:amd64=3'] },
    { ...manifest, packages: ['a:amd64=1'] },
  ].map(manifestDigest);
  expect(new Set(digests).size).toBe(4);
});

async function daemonListing(output: (string | Buffer)[], exitCode = 0) {
  let created = '';
  const { daemon } = await daemonWith(new FakeContainer({ output, exitCode }), {
    'POST /containers/create': async (response, call) => {
      created = (await call.body()).toString();
      json(201, { Id: 'c' })(response, call);
    },
    'DELETE /containers/c': empty(),
  });
  return { daemon, created: () => JSON.parse(created) };
}

test('packages are read out of the image: installed ones alone, sorted byte by byte', async () => {
  const { daemon, created } = await daemonListing([
    'ii |zlib1g:amd64=1:1.2\nii |Gcc:am',
    'd64=12\nrc |removed:amd64=1\nii |binutils:all=2~deb12\n',
    'hi |held:amd64=1\n',
  ]);
  expect(await readPackages(daemon.engine, 'sha256:1', { 'pvgrub-forge': 'work' })).toEqual([
    'Gcc:amd64=12',
    'binutils:all=2~deb12',
    'zlib1g:amd64=1:1.2',
  ]);
  expect(created()).toMatchObject({ Image: 'sha256:1', Labels: { 'pvgrub-forge': 'work' }, HostConfig: { NetworkMode: 'none' } });
  expect(daemon.lines()).toContain('DELETE /containers/c');
});

test('what dpkg-query complains of is no package', async () => {
  const { daemon } = await daemonListing([frame('ii |warning:amd64=0\n', 2), 'ii |a:amd64=1\n']);
  expect(await readPackages(daemon.engine, 'i', {})).toEqual(['a:amd64=1']);
});

test('an image without dpkg-query is an error, and its container is removed', async () => {
  const { daemon } = await daemonListing([], 127);
  expect(await thrownBy(() => readPackages(daemon.engine, 'i', {}))).toMatchObject({ code: 'IMAGE_BUILD_FAILED' });
  expect(daemon.lines()).toContain('DELETE /containers/c');
});
