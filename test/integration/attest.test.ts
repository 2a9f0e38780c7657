import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildImageWith, ensureBuildImage, restoreBuildImage } from '../../src/engine/build-image.ts';
import { archivedImages, BUILD_IMAGE } from '../../src/engine/image-archive.ts';
import { manifestDigest } from '../../src/engine/manifest.ts';
import { openStatements, signStatement } from '../../src/publish/dsse.ts';
import { newKey, publicKeyText } from '../../src/publish/key.ts';
import { loadPublicKey } from '../../src/publish/key-files.ts';
import { Store } from '../../src/sources/store.ts';
import { sha256 } from '../../src/util/hash.ts';
import { makeProduct, type Product } from '../support/product.ts';
import { leftovers, testEngine } from '../support/run-stand-in.ts';
import { makeTar } from '../support/tar-maker.ts';

// From an image to its signed provenance, and from that alone to the image again: as people of both sides call it.
const ID = 'pv-grub-4.2.5-x86_64';
const PASSPHRASE = 'no one should see this';
const engine = await testEngine();
const at = ['--engine', engine.endpoint, '--no-setup'];
let product: Product;
const path = (...names: string[]) => join(product.folder, ...names);
const image = (out: string) => path(out, 'pv-grub/4.2.5/x86_64/pv-grub-x86_64.gz');
const env = { PVGRUB_KEY_PASSPHRASE: PASSPHRASE };
/** Another machine: it has its own store, and no image of the engine is of its base. */
const elsewhere = () => ({ PVGRUB_STORE: path('elsewhere') });
const OTHER_BASE = 'no-such-base:1';

beforeAll(async () => {
  product = makeProduct();
  for (const name of ['publisher', 'rebuilder']) expect((await product.call(['key', 'generate', '--out', name], env)).code).toBe(0);
  expect(await product.call(['build', ID, '--progress', 'plain', ...at, ...product.origins()])).toMatchObject({ code: 0 });
}, 120_000);
afterAll(async () => {
  product.remove();
  expect(await leftovers(engine)).toEqual({ containers: 0, volumes: 0 });
});

test('attest writes all three files; key and passphrase are nowhere in them or in what is printed', async () => {
  const called = await product.call(['attest', ID, '--key', 'publisher', ...at], env);
  expect(called).toMatchObject({ code: 0, stdout: expect.stringContaining('pv-grub-x86_64.gz.intoto.jsonl, signed by') });
  const folder = join(image('artifacts'), '..');
  expect(readdirSync(folder)).toEqual(
    expect.arrayContaining(['.buildinfo', '.cdx.json', '.intoto.jsonl'].map((end) => `pv-grub-x86_64.gz${end}`)),
  );
  const written = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'));
  const secret = readFileSync(path('publisher'), 'utf8').split('\n')[1] as string;
  for (const text of [called.stdout, called.stderr, ...written])
    for (const hidden of [PASSPHRASE, secret]) expect(text.includes(hidden)).toBe(false);
  expect(await product.call(['attest', ID, ...at], {})).toMatchObject({ code: 2, stderr: expect.stringContaining('KEY_MISSING') });
}, 120_000);

test('what was built, proven by nobody yet, is published where that is asked for, verified, and pulled as the very image', async () => {
  const publish = ['publish', 'site', '--from', 'artifacts', '--key', 'publisher'];
  expect(await product.call(publish, env)).toMatchObject({
    code: 5,
    stderr: expect.stringContaining(`${ID}: never booted; never built again`),
  });
  const called = await product.call([...publish, '--allow-unproven'], env);
  expect(called).toMatchObject({ code: 0, stdout: expect.stringContaining('1 image (1 new') });
  for (const text of [called.stdout, called.stderr]) expect(text.includes(PASSPHRASE)).toBe(false);
  expect(await product.call(['verify', 'site', '--key', 'publisher.pub'])).toMatchObject({ code: 0 });
  const pulled = await product.call(['pull', '4.2', '--from', 'site', '--key', 'publisher.pub', '--out', 'pulled']);
  expect(pulled).toMatchObject({ code: 0, stderr: expect.stringContaining('never booted') });
  expect(readFileSync(path('pulled/pv-grub-x86_64.gz'))).toEqual(readFileSync(image('artifacts')));
});

test('the corresponding source, taken to an empty store, makes the same image offline, build image and all', async () => {
  const called = await product.call(['sources', 'export', 'all.tar', '--for', ID, ...at]);
  expect(called).toMatchObject({ code: 0, stdout: expect.stringContaining('the build image among them') });
  // A build image is taken in where that is asked for: nothing here proves it.
  const refused = await product.call(['sources', 'import', 'all.tar'], { PVGRUB_STORE: path('careful') });
  expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining('--trust build-image') });
  const taken = await product.call(['sources', 'import', 'all.tar', '--trust', 'build-image'], elsewhere());
  expect(taken).toMatchObject({ code: 0, stdout: expect.stringContaining(`${ID}: made again with pvgrub build --offline ${ID}`) });
  const options = ['build', ID, '--offline', '--base', OTHER_BASE, '--out', 'theirs', '--progress', 'plain', ...at];
  const without = await product.call(options, { PVGRUB_STORE: path('careful') });
  expect(without).toMatchObject({ code: 4, stderr: expect.stringContaining('sources export --for') });
  const built = await product.call(options, elsewhere());
  expect(built).toMatchObject({ code: 0 });
  expect(readFileSync(image('theirs'))).toEqual(readFileSync(image('artifacts')));
}, 240_000);

describe('reproduce --from', () => {
  const provenance = () => `${image('artifacts')}.intoto.jsonl`;
  const from = (file: string, more: string[] = [], by = 'publisher.pub') =>
    product.call(['reproduce', '--from', file, '--signed-by', by, '--out', 'again', '--progress', 'plain', ...more, ...at], {
      ...elsewhere(),
      ...env,
    });
  const statementText = () =>
    Buffer.from((JSON.parse(readFileSync(provenance(), 'utf8')) as { payload: string }).payload, 'base64').toString();
  const archiveNamed = async () =>
    (await archivedImages(new Store(path('elsewhere')))).map(({ sha256 }) => sha256).find((one) => statementText().includes(one)) as string;
  const summaryOf = async () => {
    const folder = join(image('again/rebuilt'), '..');
    const file = readdirSync(folder).find((name) => name.includes('.rebuilt-')) as string;
    const key = await loadPublicKey(path('rebuilder.pub'));
    expect(file).toBe(`pv-grub-x86_64.gz.rebuilt-${key.id}.intoto.jsonl`);
    return openStatements(readFileSync(join(folder, file), 'utf8'), key, file)[0];
  };

  test('makes the image again from its provenance alone, and attests that with the own key', async () => {
    const called = await from(provenance(), ['--key', 'rebuilder']);
    expect(called).toMatchObject({ code: 0, stdout: expect.stringContaining(`${ID}: the same image again, from its provenance alone`) });
    const statement = await summaryOf();
    expect(statement).toMatchObject({
      subject: [{ name: 'pv-grub-x86_64.gz', digest: { sha256: sha256(readFileSync(image('artifacts'))) } }],
      predicateType: 'https://slsa.dev/verification_summary/v1',
      predicate: {
        verificationResult: 'PASSED',
        verifiedLevels: ['PVGRUB_FORGE_REPRODUCED'],
        inputAttestations: [{ digest: { sha256: sha256(readFileSync(provenance())) } }],
        pvgrubForge_buildImage: { digest: { sha256: await archiveNamed() } },
      },
    });
  }, 120_000);

  test('shows nothing by another image where the archive that is named is not there: exit code 7, and nothing is attested', async () => {
    const key = newKey();
    const [statement] = openStatements(readFileSync(provenance(), 'utf8'), await loadPublicKey(path('publisher.pub')), 'it');
    if (!statement?.subject[0]) throw new Error('no subject');
    statement.subject[0].digest = { sha256: sha256('another image') };
    const named = await archiveNamed();
    writeFileSync(path('far.jsonl'), signStatement(JSON.parse(JSON.stringify(statement).replaceAll(named, sha256('far away'))), key));
    writeFileSync(path('far.pub'), publicKeyText(key.public));
    const folder = join(image('again/rebuilt'), '..');
    const before = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
    const called = await from(path('far.jsonl'), ['--key', 'rebuilder'], 'far.pub');
    expect(called).toMatchObject({ code: 7, stderr: expect.stringContaining('ENVIRONMENT_DIFFERS') });
    expect(called.stderr).toContain(`in the build image of the archive ${sha256('far away')}`);
    expect(readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))).toEqual(before);
  }, 120_000);

  test('says that it is another image where it is, with exit code 7, and attests that, too', async () => {
    const key = newKey();
    const publisher = await loadPublicKey(path('publisher.pub'));
    const [statement] = openStatements(readFileSync(provenance(), 'utf8'), publisher, 'it');
    if (!statement?.subject[0]) throw new Error('no subject');
    statement.subject[0].digest = { sha256: sha256('another image') };
    writeFileSync(path('other.jsonl'), signStatement(statement, key));
    writeFileSync(path('other.pub'), publicKeyText(key.public));
    const called = await from(path('other.jsonl'), ['--key', 'rebuilder'], 'other.pub');
    expect(called).toMatchObject({ code: 7, stderr: expect.stringContaining(`expected: ${sha256('another image')}`) });
    expect((await summaryOf())?.predicate).toMatchObject({ verificationResult: 'FAILED' });
  }, 120_000);

  test('is done for nobody whose key it is not, and for no changed file: exit code 6', async () => {
    expect(await from(provenance(), [], 'rebuilder.pub')).toMatchObject({ code: 6, stderr: expect.stringContaining('SIGNATURE_INVALID') });
    writeFileSync(path('cut.jsonl'), readFileSync(provenance()).subarray(0, 1000));
    expect(await from(path('cut.jsonl'))).toMatchObject({ code: 6, stderr: expect.stringContaining('STATEMENT_INVALID') });
    const unsigned = await product.call(['reproduce', '--from', provenance(), ...at], elsewhere());
    expect(unsigned).toMatchObject({ code: 2, stderr: expect.stringContaining('--signed-by') });
  });

  test('names every source that the store has not', async () => {
    const called = await product.call(['reproduce', '--from', provenance(), '--signed-by', 'publisher.pub', '--progress', 'plain', ...at], {
      PVGRUB_STORE: path('empty'),
    });
    expect(called).toMatchObject({ code: 3, stderr: expect.stringMatching(/newlib 1\.16\.0, sha256 [0-9a-f]{64}/) });
  });
});

describe('a build image that cannot be made the same', () => {
  const options = () => ({
    settings: { image: { base: 'auto', suite: 'bookworm' as const }, debianMirror: undefined, offline: true, store: path('elsewhere') },
    labels: { 'pvgrub-forge': 'work', 'pvgrub-forge.pid': String(process.pid) },
    say: () => {},
  });

  test('is made from its archive where it can, under a name that says what it is', async () => {
    const store = new Store(path('elsewhere'));
    const record = (await archivedImages(store))[0];
    if (!record) throw new Error('the archive is not there');
    const { right } = await restoreBuildImage(engine, record, options());
    try {
      expect(right?.digest).toBe(record.version);
      const { RepoTags, Config } = await engine.docker.getImage(right?.id ?? '').inspect();
      expect(RepoTags.map((tag) => tag.replace(/^.*\//, ''))).toEqual([`pvgrub-forge-build:${record.sha256.slice(0, 16)}`]);
      expect(Config).toMatchObject({ User: 'build', WorkingDir: '/cell' });
      expect(Config.Labels?.['pvgrub-forge.built-on']).toMatch(new RegExp(`; from the archive ${record.sha256}$`));
    } finally {
      await engine.docker.getImage(right?.id ?? '').remove({ force: true });
    }
  }, 60_000);

  test('is refused with what differs', async () => {
    const { manifest } = await ensureBuildImage(engine, options());
    const [first, ...rest] = manifest.packages;
    const other = { ...manifest, packages: ['newer:amd64=1', ...rest] };
    await expect(buildImageWith(engine, manifestDigest(other), other.packages, options())).rejects.toMatchObject({
      code: 'ENVIRONMENT_DIFFERS',
      got: expect.stringContaining(`without newer:amd64=1\nwith ${first}`),
    });
  }, 60_000);

  test('also where an archive bears its name and holds another one', async () => {
    const { manifest } = await ensureBuildImage(engine, options());
    const wanted = manifestDigest({ ...manifest, packages: [...manifest.packages, 'a:amd64=1'] });
    const store = new Store(path('liar'));
    const says = {
      schema: 1,
      manifest: { ...manifest, packages: [...manifest.packages, 'a:amd64=1'] },
      config: { Env: [], User: '', WorkingDir: '' },
    };
    const rootfs = await makeTar([
      { name: 'etc/', type: 'directory' },
      { name: 'etc/nothing', content: '' },
    ]);
    const tar = await makeTar([
      { name: 'liar/', type: 'directory', mode: 0o755 },
      { name: 'liar/image.json', content: JSON.stringify(says) },
      { name: 'liar/rootfs.tar', content: rootfs },
    ]);
    const file = join(await store.incoming(), 'liar');
    writeFileSync(file, gzipSync(tar));
    await store.add(file, {
      ref: { name: BUILD_IMAGE, version: wanted, file: 'liar.tar.gz', pins: {} },
      origin: 'somebody',
      trusted: true,
    });
    const before = (await engine.docker.listImages()).length;
    const settings = { ...options().settings, store: path('liar') };
    await expect(buildImageWith(engine, wanted, [], { ...options(), settings })).rejects.toMatchObject({ code: 'ENVIRONMENT_DIFFERS' });
    expect((await engine.docker.listImages()).length).toBe(before);
  }, 60_000);
});
