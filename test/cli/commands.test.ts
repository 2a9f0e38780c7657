import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Cell } from '../../src/plan/plan.ts';
import { sha256 } from '../../src/util/hash.ts';
import { pvgrub, root } from '../support/cli.ts';
import { makeProduct, type Product } from '../support/product.ts';

let product: Product;
let folder: string;
beforeAll(() => {
  product = makeProduct();
  folder = product.folder;
});
afterAll(() => product.remove());

describe('sources', () => {
  test('are fetched, listed, verified, exported, and imported on another machine', async () => {
    const fetched = await product.call(['sources', 'fetch', '--offline', '--progress', 'plain', ...product.origins()]);
    expect(fetched).toMatchObject({ code: 0, stderr: expect.stringContaining('5 of 5 sources are in the store') });
    const listed = JSON.parse((await product.call(['sources', 'list', '--json'])).stdout);
    expect(listed.map(({ name, proof }: { name: string; proof: string }) => `${name} ${proof}`)).toEqual([
      'grub sha256',
      'newlib sha256',
      'pciutils sha256',
      'xen sha256',
      'zlib sha256',
    ]);
    expect((await product.call(['sources', 'verify'])).stdout).toContain('5 of 5');
    expect((await product.call(['sources', 'export', 'sources.tar', 'pv-grub-4.2.5-x86_64'])).code).toBe(0);
    const other = { PVGRUB_STORE: join(folder, 'other') };
    expect((await product.call(['sources', 'import', 'sources.tar'], other)).stdout).toContain('5 sources taken in');
    expect((await product.call(['sources', 'list', '--json'], other)).stdout).toEqual(
      (await product.call(['sources', 'list', '--json'])).stdout,
    );
  });

  test('that cannot be had name every place, and --offline opens no connection', async () => {
    const called = await product.call(['sources', 'fetch', '--offline', '--progress', 'quiet'], { PVGRUB_STORE: join(folder, 'empty') });
    expect(called.code).toBe(3);
    expect(called.stderr).toMatch(/https:\/\/xen\.invalid\/xen-4\.2\.5\.tar\.gz: not asked, because of --offline/);
    expect(called.stderr).toContain('--origin zlib=');
  });

  test('that are not what the catalog pins are refused with expected and got', async () => {
    const wrong = join(folder, 'zlib-1.2.3.tar.gz');
    cpSync(join(product.standIn.folder, 'newlib-1.16.0.tar.gz'), wrong);
    const all = await product.call(
      [
        'sources',
        'fetch',
        '--progress',
        'quiet',
        ...product.origins(['xen', 'newlib', 'zlib', 'pciutils', 'grub']),
        '--origin',
        `zlib=${wrong}`,
      ],
      {
        PVGRUB_STORE: join(folder, 'second'),
      },
    );
    // A second origin of the same name is a further place to look: the first one gives it.
    expect(all.code).toBe(0);
    const only = await product.call(
      ['sources', 'fetch', '--progress', 'quiet', ...product.origins(['xen', 'newlib', 'pciutils', 'grub']), '--origin', `zlib=${wrong}`],
      {
        PVGRUB_STORE: join(folder, 'wrong'),
      },
    );
    expect(only.code).toBe(3);
    expect(only.stderr).toMatch(/\[SOURCE_MISMATCH\]\n {2}expected: sha256 [0-9a-f]{64}\n {2}got: {6}sha256 [0-9a-f]{64}/);
  });
});

test('matrix shows each cell with its sources and why it is not built, as table and as JSON', async () => {
  const text = await product.call(['matrix', '*']);
  expect(text.stdout).toMatch(/pv-grub-4\.2\.5-x86_64 +xen newlib zlib pciutils grub +2 +not built/);
  const cells = JSON.parse((await product.call(['matrix', '--format', 'json'])).stdout);
  expect(cells).toMatchObject([
    {
      id: 'pv-grub-4.2.5-x86_64',
      series: '4.2',
      support: 'end of life since 2015-09-17',
      built: false,
      edits: ['mkheader-python3', 'tools-mk'],
    },
    { id: 'pv-grub-4.2.5-x86_32', built: false },
  ]);
  expect((await product.call(['matrix', 'pv-grub-4.2.5-x86_64', '--why'])).stdout).toMatch(/edit +mkheader-python3: Sorts/);
});

test('matrix without a selector shows the series, and what has come to its end upstream', async () => {
  const { stdout } = await product.call(['matrix']);
  expect(stdout).toMatch(/pv-grub 4\.2 +4\.2\.5 +1 +x86_64 x86_32 +0 of 2 +end of life since 2015-09-17/);
});

test('matrix --why names the inputs that have changed since the cell was built', async () => {
  const cell = product.standIn.cells()[0] as Cell;
  const manifest = { dockerfile: sha256(readFileSync(join(root, 'Dockerfile.build'))), packages: ['gcc:amd64=12.2'], base: 'a test' };
  const cache = join(folder, 'cache/pvgrub-forge/manifests');
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, `${sha256('auto/bookworm').slice(0, 16)}.json`), JSON.stringify(manifest));
  const place = join(folder, 'earlier/pv-grub/4.2.5/x86_64');
  mkdirSync(place, { recursive: true });
  const metadata = {
    ...{ schema: 1, id: cell.id, loader: 'pv-grub', version: '4.2.5', arch: 'x86_64', inputHash: 'another' },
    image: { file: 'pv-grub-x86_64.gz', size: 1, sha256: 'x' },
    sources: cell.recipe.sources,
    edits: [{ id: 'tools-mk', digest: 'another' }],
    environment: { ...cell.recipe.env, TZ: 'CET' },
    commands: cell.recipe.steps.map((step) => step.run),
    buildImage: { dockerfile: manifest.dockerfile, packages: ['gcc:amd64=12.1'] },
  };
  writeFileSync(join(place, 'metadata.json'), JSON.stringify(metadata));
  const { stdout, stderr } = await product.call(['matrix', cell.id, '--why', '--out', 'earlier']);
  expect(stderr).toBe('');
  expect(stdout).toContain('its inputs have changed since it was built');
  expect(stdout.match(/changed {2}.*/g)).toEqual([
    'changed  edit mkheader-python3 is new',
    'changed  edit tools-mk has changed',
    'changed  variable TZ has changed',
    'changed  package gcc:amd64 has changed',
  ]);
});

test('inspect tells what a file is, and exits with 5 where it is no loader', async () => {
  const called = await pvgrub(['inspect', '--json', process.execPath]);
  expect(called.code).toBe(5);
  expect(JSON.parse(called.stdout)).toMatchObject([{ kind: 'elf', elf: { bits: 64 } }]);
});

test('every command has a help with an example', async () => {
  const help = await pvgrub(['--help']);
  expect(help.code).toBe(0);
  for (const command of [
    ['matrix'],
    ['build'],
    ['sources', 'fetch'],
    ['sources', 'list'],
    ['sources', 'verify'],
    ['sources', 'export'],
    ['sources', 'import'],
    ['inspect'],
    ['doctor'],
  ]) {
    const called = await pvgrub([...command, '--help']);
    expect(called).toMatchObject({ code: 0, stdout: expect.stringMatching(/Examples?:\n {2}pvgrub /) });
  }
});

test('the launcher works through a link and from any folder, with the product’s own configuration', async () => {
  symlinkSync(join(root, 'pvgrub'), join(folder, 'link'));
  const empty = mkdtempSync(join(tmpdir(), 'pvgrub-empty-'));
  try {
    const called = await pvgrub(['matrix', 'pvgrub2-2.14-x86_64'], { program: [join(folder, 'link')], cwd: empty });
    expect(called).toMatchObject({ code: 0, stdout: expect.stringContaining('pvgrub2-2.14-x86_64') });
  } finally {
    rmSync(empty, { recursive: true });
  }
});

test('a reader that closes the pipe is no fault', () => {
  const out = execFileSync('sh', ['-c', '"$0" "$1" matrix | head -n 1', process.execPath, join(root, 'src/cli/main.ts')], {
    encoding: 'utf8',
    cwd: root,
  });
  expect(out).toMatch(/^series/);
});

test('every page that the README leads to is there', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  for (const [, page] of readme.matchAll(/\]\(([^)]+\.md)\)/g))
    expect(readFileSync(join(root, page as string), 'utf8').length).toBeGreaterThan(0);
});
