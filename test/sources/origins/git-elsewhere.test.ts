import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { gitTarball, isRepository } from '../../../src/sources/origins/git.ts';
import { gitEnvironment } from '../../../src/sources/origins/git-run.ts';
import { parseOrigin } from '../../../src/sources/origins/spec.ts';
import { makeRepo } from '../../support/git-repo.ts';
import { gitServer } from '../../support/git-server.ts';
import { serve } from '../../support/http-server.ts';
import { tempFolder } from '../../support/tar-maker.ts';

/** Git origins on machines whose git is set up in other ways. */

const folder = tempFolder();
const repo = makeRepo(join(folder, 'upstream'));
const commit = repo.commit({ file: 'x', more: 'y' });
repo.git('tag', 'v1');
const bare = join(folder, 'mirror.git');
repo.git('clone', '--quiet', '--mirror', repo.path, bare);
const server = await gitServer(folder);
const fresh = () => mkdtempSync(join(folder, 'case-'));
const make = (url: string, id: string, at = fresh(), limit?: number) =>
  gitTarball(url, id, 'top', join(at, 'out.tar'), join(at, 'cache'), undefined, limit);

afterEach(() => {
  vi.unstubAllEnvs();
});

/** The home folder of a user whose git has these settings. */
function homeWith(...settings: [string, string][]): void {
  const home = fresh();
  vi.stubEnv('HOME', home);
  for (const [name, value] of settings) execFileSync('git', ['config', '--file', join(home, '.gitconfig'), name, value]);
}

describe('a git that finds no bare repository by itself (safe.bareRepository, the default of git 3)', () => {
  test.each([
    ['a mirror', () => bare],
    ['a work tree', () => repo.path],
    ['a remote repository, through the cache', () => `${server}/upstream`],
  ])('reads %s', async (_what, url) => {
    homeWith(['safe.bareRepository', 'explicit']);
    // Git alone refuses it.
    expect(() => execFileSync('git', ['-C', bare, 'rev-parse', 'HEAD'], { stdio: 'pipe' })).toThrow();
    const at = fresh();
    expect((await make(url(), commit, at)).commit).toBe(commit);
    // A second time from what the cache has.
    expect((await make(url(), commit, at)).commit).toBe(commit);
    expect(await isRepository(bare)).toBe(true);
  });
});

describe('a machine whose git makes repositories with SHA-256 ids', () => {
  test('fetches from a remote all the same, and leaves a cache that works', async () => {
    vi.stubEnv('GIT_DEFAULT_HASH', 'sha256');
    const at = fresh();
    expect((await make(`${server}/upstream`, commit, at)).commit).toBe(commit);
    vi.unstubAllEnvs();
    expect((await make(`${server}/upstream`, 'v1', at)).commit).toBe(commit);
  });

  test('replaces a cache of that format, and one that is half made', async () => {
    const at = fresh();
    await make(`${server}/upstream`, commit, at);
    const [name = ''] = readdirSync(join(at, 'cache'));
    const cached = join(at, 'cache', name);
    for (const spoil of [
      () => execFileSync('sh', ['-c', `rm -rf ${cached} && git init -q --bare --object-format=sha256 ${cached}`]),
      () => execFileSync('sh', ['-c', `rm -rf ${cached}/* && touch ${cached}/HEAD`]),
    ]) {
      spoil();
      expect((await make(`${server}/upstream`, commit, at)).commit).toBe(commit);
    }
  });

  test.each(['on this machine', 'remote'])('a repository %s that has such ids is refused in these words', async (where) => {
    const path = join(folder, 'sha256');
    if (!existsSync(path)) execFileSync('git', ['init', '-q', '--object-format=sha256', path]);
    writeFileSync(join(path, 'file'), 'x');
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', path, '-c', 'user.name=A', '-c', 'user.email=a@example.org', ...args], { encoding: 'utf8' });
    git('add', 'file');
    git('commit', '-q', '--allow-empty', '-m', 'one');
    const error = await make(where === 'remote' ? `${server}/sha256` : path, commit).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', exit: 3, message: expect.stringContaining('SHA-256 object ids') });
  });
});

test('git gets none of the variables that would lead it elsewhere, and those that reach a remote', () => {
  const env = {
    GIT_DIR: '/x',
    GIT_OBJECT_DIRECTORY: '/y',
    GIT_CONFIG_COUNT: '1',
    GIT_TRACE: '1',
    GIT_SSH_COMMAND: 'ssh -i key',
    PATH: '/bin',
  };
  const given = gitEnvironment('none', env);
  expect(
    Object.keys(given)
      .filter((name) => name in env)
      .sort(),
  ).toEqual(['GIT_SSH_COMMAND', 'PATH']);
});

describe('a cached copy that is damaged on disk is fetched again', () => {
  /** Spoil the only pack of a cache. */
  function spoil(at: string, from: (size: number) => number): void {
    const packs = join(at, 'cache', readdirSync(join(at, 'cache'))[0] ?? '', 'objects/pack');
    const pack = join(packs, readdirSync(packs).find((name) => name.endsWith('.pack')) ?? '');
    const bytes = readFileSync(pack);
    bytes.fill(0xff, from(bytes.length), from(bytes.length) + 40);
    chmodSync(pack, 0o644);
    writeFileSync(pack, bytes);
  }
  // More objects than git leaves loose.
  const many = Object.fromEntries(Array.from({ length: 150 }, (_, n) => [`file-${n}`, `content ${n} ${'x'.repeat(200)}`]));

  test.each([
    ['at its beginning, where the commit is', () => 20],
    ['at its end, where contents of files are', (size: number) => size - 100],
  ])('%s', async (_where, from) => {
    const path = join(folder, 'many');
    if (!existsSync(path)) makeRepo(path).commit(many);
    const id = execFileSync('git', ['-C', path, 'rev-parse', 'HEAD'], { encoding: 'utf8' }).trim();
    const at = fresh();
    await make(`${server}/many`, id, at);
    const first = readFileSync(join(at, 'out.tar'));
    spoil(at, from);
    expect((await make(`${server}/many`, id, at)).commit).toBe(id);
    expect(readFileSync(join(at, 'out.tar')).equals(first)).toBe(true);
  });

  test('a sound copy stays where the server cannot be reached', async () => {
    const at = fresh();
    const gone = `${server}/gone`;
    const other = makeRepo(join(folder, 'gone'));
    const [one, two] = [other.commit({ a: '1' }), other.commit({ a: '2' })];
    await make(gone, one, at);
    rmSync(other.path, { recursive: true });
    await expect(make(gone, two, at)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect((await make(gone, one, at)).commit).toBe(one);
  });
});

test('of a remote branch or tag only that commit is fetched; a name that is not there costs nothing', async () => {
  const other = makeRepo(join(folder, 'history'));
  let id = '';
  for (const n of [1, 2, 3]) {
    writeFileSync(join(other.path, 'noise'), randomBytes(1_500_000));
    id = other.commit({ n: `${n}` });
  }
  other.git('tag', 'v9');
  for (const name of ['main', 'v9']) expect((await make(`${server}/history`, name, fresh(), 2_500_000)).commit).toBe(id);
  const at = fresh();
  const error = await make(`${server}/history`, 'no-such-tag', at, 100_000).catch((reason) => reason);
  expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', got: 'main, v9' });
  // A branch takes the name of a tag that is gone.
  const both = fresh();
  await make(`${server}/history`, 'v9', both, 2_500_000);
  other.git('tag', '--delete', 'v9');
  other.git('branch', 'v9', 'HEAD~1');
  expect((await make(`${server}/history`, 'v9', both, 2_500_000)).commit).toBe(other.git('rev-parse', 'HEAD~1'));
});

test('the lock of a git that was killed does not stop later ones', async () => {
  const other = makeRepo(join(folder, 'locked'));
  const [one, two] = [other.commit({ a: '1' }), other.commit({ a: '2' })];
  const at = fresh();
  await make(`${server}/locked`, one, at);
  const cached = join(at, 'cache', readdirSync(join(at, 'cache'))[0] ?? '');
  writeFileSync(join(cached, 'shallow.lock'), '');
  writeFileSync(join(cached, 'objects/pack/tmp_pack_x'), 'half');
  expect((await make(`${server}/locked`, two, at)).commit).toBe(two);
  expect(existsSync(join(cached, 'shallow.lock'))).toBe(false);
  expect(existsSync(join(cached, 'objects/pack/tmp_pack_x'))).toBe(false);
  expect(readdirSync(join(at, 'cache'))).toHaveLength(1);
});

describe('words that tell the cause', () => {
  test.each([
    ['on this machine', () => join(folder, 'renamed')],
    ['remote', () => `${server}/renamed`],
  ])('a branch that was renamed, %s: what there is', async (_where, url) => {
    if (!existsSync(join(folder, 'renamed'))) {
      const other = makeRepo(join(folder, 'renamed'));
      other.commit({ file: 'x' });
      other.git('branch', 'stable');
    }
    const other = join(folder, 'renamed');
    const rename = (from: string, to: string) => execFileSync('git', ['-C', other, 'branch', '-m', from, to]);
    const at = fresh();
    expect((await make(url(), 'main', at)).commit).toMatch(/^[0-9a-f]{40}$/);
    rename('main', 'trunk');
    const error = await make(url(), 'main', at).catch((reason) => reason);
    rename('trunk', 'main');
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', message: expect.stringContaining('no commit, tag or branch main') });
    expect(error.got).toMatch(/stable/);
    expect(error.got).toMatch(/trunk/);
    expect(error.hint).toMatch(/renamed/);
  });

  test('a # in a path is a part of it where that is there; a branch with a slash is a branch', async () => {
    const odd = join(folder, 'a#b', 'xen.git');
    mkdirSync(join(folder, 'a#b'));
    repo.git('clone', '--quiet', '--bare', repo.path, odd);
    execFileSync('git', ['-C', repo.path, 'branch', 'feature/x']);
    for (const text of [odd, `git:${odd}`]) {
      expect(await parseOrigin(text, commit, folder)).toEqual({ type: 'git', url: odd, commit });
      expect(await parseOrigin(`${text}#v1`, commit, folder)).toEqual({ type: 'git', url: odd, commit: 'v1' });
      expect(await parseOrigin(`${text}#feature/x`, commit, folder)).toEqual({ type: 'git', url: odd, commit: 'feature/x' });
    }
    const error = await parseOrigin(join(folder, 'c#d/xen.git'), commit, folder).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining('the text after the #') });
  });
});

describe('limits.source', () => {
  test('stops a fetch that brings more, and leaves nothing of it', async () => {
    const other = makeRepo(join(folder, 'large'));
    // Nothing that compresses.
    writeFileSync(join(other.path, 'noise'), randomBytes(6_000_000));
    const id = other.commit({ file: 'x' });
    const at = fresh();
    const error = await make(`${server}/large`, id, at, 1_000_000).catch((reason) => reason);
    expect(error).toMatchObject({
      code: 'SOURCE_TOO_LARGE',
      exit: 3,
      expected: 'at most 1000000 bytes',
      hint: expect.stringContaining('limits.source'),
    });
    expect(readdirSync(join(at, 'cache'))).toEqual([]);
    expect(existsSync(join(at, 'out.tar'))).toBe(false);
    // With room for it, it comes.
    expect((await make(`${server}/large`, id, at, 20_000_000)).commit).toBe(id);
    expect(statSync(join(at, 'out.tar')).size).toBeGreaterThan(6_000_000);
  });

  test('stops a fetch from a server that has files alone (dumb HTTP), and leaves nothing of it', async () => {
    const other = makeRepo(join(folder, 'dumb'));
    for (const name of ['a', 'b', 'c']) writeFileSync(join(other.path, name), randomBytes(2_000_000));
    const id = other.commit({ file: 'x' });
    other.git('update-server-info');
    const files = await serve((request, response) => {
      const at = join(other.path, '.git', new URL(request.url ?? '', 'http://x').pathname);
      if (existsSync(at) && statSync(at).isFile()) response.end(readFileSync(at));
      else response.writeHead(404).end();
    });
    const at = fresh();
    await expect(make(files.url, id, at, 1_000_000)).rejects.toMatchObject({ code: 'SOURCE_TOO_LARGE', expected: 'at most 1000000 bytes' });
    expect(readdirSync(join(at, 'cache'))).toEqual([]);
    expect((await make(files.url, id, at, 20_000_000)).commit).toBe(id);
  });

  test('a tree of nothing but folders, of which there are millions, is refused', async () => {
    const other = makeRepo(join(folder, 'folders'));
    const mktree = (input: string) => execFileSync('git', ['-C', other.path, 'mktree'], { input, encoding: 'utf8' }).trim();
    let tree = mktree('');
    for (let depth = 0; depth < 7; depth++) tree = mktree(Array.from({ length: 30 }, (_, n) => `040000 tree ${tree}\t${n}\n`).join(''));
    const id = other.git('commit-tree', '-m', 'x', tree);
    await expect(make(other.path, id)).rejects.toMatchObject({ code: 'SOURCE_TOO_LARGE', message: expect.stringContaining('folders') });
  });

  test('holds for the tree, too, also of a repository on this machine', async () => {
    const other = makeRepo(join(folder, 'packed'));
    const id = other.commit({ a: 'a'.repeat(300_000), b: 'b'.repeat(300_000) });
    await expect(make(other.path, id, fresh(), 500_000)).rejects.toMatchObject({
      code: 'SOURCE_TOO_LARGE',
      expected: 'at most 500000 bytes',
    });
    expect((await make(other.path, id, fresh(), 700_000)).commit).toBe(id);
  });
});
