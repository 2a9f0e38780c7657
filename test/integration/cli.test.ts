import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Event } from '../../src/report/events.ts';
import { root } from '../support/cli.ts';
import { makeProduct, type Product } from '../support/product.ts';
import { leftovers, testEngine } from '../support/run-stand-in.ts';

// The whole command line with a real engine, as a user calls it.
let product: Product;
beforeAll(() => {
  product = makeProduct();
});
afterAll(() => product.remove());

const engine = () => ['--engine', process.env['PVGRUB_TEST_ENGINE'] ?? 'none', '--no-setup'];
const artifacts = (file: string) => join(product.folder, 'artifacts', file);
const digest = () => readFileSync(artifacts('SHA256SUMS'), 'utf8');

test('build makes all cells, tells each step as JSON lines, and does nothing the second time', async () => {
  const called = await product.call(['build', '--progress', 'json', ...engine(), ...product.origins()]);
  expect(called).toMatchObject({ code: 0, stderr: '' });
  const events = called.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Event & { time: number });
  expect(events[0]).toMatchObject({ type: 'run-started', cells: ['pv-grub-4.2.5-x86_64', 'pv-grub-4.2.5-x86_32'] });
  expect(events.filter((event) => event.type === 'cell-done').length).toBe(2);
  expect(events.at(-1)).toMatchObject({ type: 'run-finished', done: 2, failed: 0, exit: 0 });
  expect(
    execFileSync('sha256sum', ['-c', '--strict', 'SHA256SUMS'], { cwd: artifacts(''), encoding: 'utf8' }).match(/: OK$/gm)?.length,
  ).toBe(2);
  const again = await product.call(['build', '--progress', 'plain', '--offline', ...engine()]);
  expect(again).toMatchObject({ code: 0, stderr: expect.stringMatching(/pv-grub-4\.2\.5-x86_64: there already/) });
  expect((await product.call(['matrix', '*'])).stdout.match(/ built, /g)?.length).toBe(2);
});

test('exported sources, imported elsewhere, make the same images offline', async () => {
  const before = digest();
  expect((await product.call(['sources', 'export', 'sources.tar'])).code).toBe(0);
  rmSync(artifacts(''), { recursive: true });
  const elsewhere = { PVGRUB_STORE: join(product.folder, 'elsewhere') };
  expect((await product.call(['sources', 'import', 'sources.tar'], elsewhere)).code).toBe(0);
  const built = await product.call(['build', '--offline', '--progress', 'plain', ...engine()], elsewhere);
  expect(built.code).toBe(0);
  expect(digest()).toBe(before);
});

test('a source that only --trust lets in marks the image in metadata and summary', async () => {
  const wrong = join(product.folder, 'zlib-1.2.3.tar.gz');
  execFileSync('sh', ['-c', `gzip -dc ${join(product.standIn.folder, 'zlib-1.2.3.tar.gz')} | gzip -n1 > ${wrong}`]);
  const options = [
    'build',
    'pv-grub-4.2.5-x86_64',
    '--progress',
    'plain',
    '--out',
    'trusted',
    ...engine(),
    ...product.origins(['xen', 'newlib', 'pciutils', 'grub']),
    '--origin',
    `zlib=${wrong}`,
  ];
  const env = { PVGRUB_STORE: join(product.folder, 'untrusted') };
  const refused = await product.call(options, env);
  expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining('--trust zlib') });
  const called = await product.call([...options, '--trust', 'zlib'], env);
  expect(called).toMatchObject({ code: 0, stderr: expect.stringContaining('unpinned: nothing proves the source zlib') });
  const metadata = JSON.parse(readFileSync(join(product.folder, 'trusted/pv-grub/4.2.5/x86_64/metadata.json'), 'utf8'));
  expect(metadata).toMatchObject({ unpinned: ['zlib'], warnings: [expect.stringContaining('zlib')] });
  expect(metadata.sources.find(({ name }: { name: string }) => name === 'zlib')).toMatchObject({ proof: null, origin: 'a local file' });
  // Without --trust the same store gives nothing, and the marked image does not count as built.
  expect((await product.call(options, env)).code).toBe(3);
});

test('Ctrl-C stops a build, removes its containers and volumes, and exits with 130', async () => {
  const { folder } = product;
  const child = spawn(
    process.execPath,
    [join(root, 'src/cli/main.ts'), 'build', '--no-cache', '--progress', 'json', '--out', 'stopped', ...engine(), ...product.origins()],
    {
      cwd: folder,
      env: { ...process.env, PVGRUB_DATA: join(folder, 'data'), PVGRUB_STORE: join(folder, 'store') },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const before = said.includes('"phase":"newlib"');
    said += chunk.toString();
    if (!before && said.includes('"phase":"newlib"')) child.kill('SIGINT');
  });
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code).toBe(130);
  expect(said).toContain('"code":"INTERRUPTED"');
  expect(await leftovers(await testEngine(), child.pid)).toEqual({ containers: 0, volumes: 0 });
  expect(readdirSync(join(folder, 'stopped'))).toEqual(['journal.jsonl']);
});
