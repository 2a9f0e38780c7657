import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pvgrub, root } from '../support/cli.ts';
import { makeStandIn, type StandIn } from '../support/stand-in.ts';

let folder: string;
let standIn: StandIn;
let env: NodeJS.ProcessEnv;

// A product of its own: the stand-in's catalog and edits, and a configuration that names its one release.
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pvgrub-cli-'));
  standIn = makeStandIn();
  const { catalog } = standIn.data;
  mkdirSync(join(folder, 'data/catalog'), { recursive: true });
  const write = (name: string, value: unknown) => writeFileSync(join(folder, 'data/catalog', name), JSON.stringify(value));
  write('xen.json', catalog.xen);
  write('mini-os.json', catalog.miniOs);
  write('externals.json', { externals: catalog.externals });
  write('grub2.json', catalog.grub2);
  cpSync(join(root, 'test/fixtures/stand-in/edits'), join(folder, 'data/edits/pv-grub'), { recursive: true });
  mkdirSync(join(folder, 'data/edits/pvgrub2'), { recursive: true });
  cpSync(join(root, 'loaders'), join(folder, 'data/loaders'), { recursive: true });
  writeFileSync(join(folder, 'matrix.config.json'), JSON.stringify({ loaders: { 'pv-grub': { versions: ['4.2.5'] } } }));
  env = { PVGRUB_DATA: join(folder, 'data'), PVGRUB_STORE: join(folder, 'store'), XDG_CACHE_HOME: join(folder, 'cache') };
});
afterAll(() => {
  standIn.remove();
  rmSync(folder, { recursive: true, force: true });
});

const call = (args: string[], more: NodeJS.ProcessEnv = {}) => pvgrub(args, { cwd: folder, env: { ...env, ...more } });
const origins = (names = ['xen', 'newlib', 'zlib', 'pciutils', 'grub']) =>
  names.flatMap((name) => ['--origin', `${name}=dir:${standIn.folder}`]);

describe('sources', () => {
  test('are fetched, listed, verified, exported, and imported on another machine', async () => {
    const fetched = await call(['sources', 'fetch', '--offline', '--progress', 'plain', ...origins()]);
    expect(fetched).toMatchObject({ code: 0, stderr: expect.stringContaining('5 of 5 sources are in the store') });
    const listed = JSON.parse((await call(['sources', 'list', '--json'])).stdout);
    expect(listed.map(({ name, proof }: { name: string; proof: string }) => `${name} ${proof}`)).toEqual([
      'grub sha256',
      'newlib sha256',
      'pciutils sha256',
      'xen sha256',
      'zlib sha256',
    ]);
    expect((await call(['sources', 'verify'])).stdout).toContain('5 of 5');
    expect((await call(['sources', 'export', 'sources.tar', 'pv-grub-4.2.5-x86_64'])).code).toBe(0);
    const other = { PVGRUB_STORE: join(folder, 'other') };
    expect((await call(['sources', 'import', 'sources.tar'], other)).stdout).toContain('5 sources taken in');
    expect((await call(['sources', 'list', '--json'], other)).stdout).toEqual((await call(['sources', 'list', '--json'])).stdout);
  });

  test('that cannot be had name every place, and --offline opens no connection', async () => {
    const called = await call(['sources', 'fetch', '--offline', '--progress', 'quiet'], { PVGRUB_STORE: join(folder, 'empty') });
    expect(called.code).toBe(3);
    expect(called.stderr).toMatch(/https:\/\/xen\.invalid\/xen-4\.2\.5\.tar\.gz: not asked, because of --offline/);
    expect(called.stderr).toContain('--origin zlib=');
  });

  test('that are not what the catalog pins are refused with expected and got', async () => {
    const wrong = join(folder, 'zlib-1.2.3.tar.gz');
    cpSync(join(standIn.folder, 'newlib-1.16.0.tar.gz'), wrong);
    const all = await call(
      ['sources', 'fetch', '--progress', 'quiet', ...origins(['xen', 'newlib', 'zlib', 'pciutils', 'grub']), '--origin', `zlib=${wrong}`],
      {
        PVGRUB_STORE: join(folder, 'second'),
      },
    );
    // A second origin of the same name is a further place to look: the first one gives it.
    expect(all.code).toBe(0);
    const only = await call(
      ['sources', 'fetch', '--progress', 'quiet', ...origins(['xen', 'newlib', 'pciutils', 'grub']), '--origin', `zlib=${wrong}`],
      {
        PVGRUB_STORE: join(folder, 'wrong'),
      },
    );
    expect(only.code).toBe(3);
    expect(only.stderr).toMatch(/\[SOURCE_MISMATCH\]\n {2}expected: sha256 [0-9a-f]{64}\n {2}got: {6}sha256 [0-9a-f]{64}/);
  });
});

test('matrix shows each cell with its sources and why it is not built, as table and as JSON', async () => {
  const text = await call(['matrix']);
  expect(text.stdout).toMatch(/pv-grub-4\.2\.5-x86_64 +xen newlib zlib pciutils grub +2 +not built/);
  const cells = JSON.parse((await call(['matrix', '--format', 'json'])).stdout);
  expect(cells).toMatchObject([
    { id: 'pv-grub-4.2.5-x86_64', built: false, edits: ['mkheader-python3', 'tools-mk'] },
    { id: 'pv-grub-4.2.5-x86_32', built: false },
  ]);
  expect((await call(['matrix', 'pv-grub-4.2.5-x86_64', '--why'])).stdout).toMatch(/edit +mkheader-python3: Sorts/);
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
  expect(out).toMatch(/^cell/);
});

test('every page that the README leads to is there', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  for (const [, page] of readme.matchAll(/\]\(([^)]+\.md)\)/g))
    expect(readFileSync(join(root, page as string), 'utf8').length).toBeGreaterThan(0);
});
