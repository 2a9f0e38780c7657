import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { checkArchive } from '../../../src/sources/archive-check.ts';
import { objectId } from '../../../src/sources/git-tree.ts';
import { gitTarball, isRepository } from '../../../src/sources/origins/git.ts';
import { run } from '../../../src/util/process.ts';
import { makeRepo, TRICKY } from '../../support/git-repo.ts';
import { gitServer } from '../../support/git-server.ts';
import { tempFolder } from '../../support/tar-maker.ts';

const folder = tempFolder();
const cache = join(folder, 'cache');
const repo = makeRepo(join(folder, 'a repo'));
const first = repo.commit({ 'old-file': 'gone later' });
const commit = repo.commit(TRICKY);
repo.git('tag', '--annotate', '--message=a release', 'RELEASE-1');
let count = 0;

async function tarball(url: string, id: string, top = 'top') {
  const file = join(folder, `out-${count++}.tar`);
  return { file, ...(await gitTarball(url, id, top, file, cache)) };
}

describe('the tarball of a commit', () => {
  test('has the same bytes each time, from a path, a file URL, a bare copy and a clone', async () => {
    const bare = join(folder, 'bare.git');
    repo.git('clone', '--quiet', '--bare', repo.path, bare);
    const made = [];
    for (const url of [repo.path, repo.path, pathToFileURL(repo.path).href, bare]) made.push(await tarball(url, commit));
    for (const one of made) {
      expect(one.commit).toBe(commit);
      expect(readFileSync(one.file).equals(readFileSync(made[0]?.file ?? ''))).toBe(true);
    }
  });

  test('is unpacked by the real tar to the same files as git archive gives', async () => {
    const { file } = await tarball(repo.path, commit);
    const other = join(folder, 'archive.tar');
    repo.git('archive', '--format=tar', '--prefix=top/', `--output=${other}`, commit);
    const unpack = (tar: string) => {
      const at = join(folder, `unpacked-${count++}`);
      mkdirSync(at);
      execFileSync('tar', ['-xpf', tar, '-C', at]);
      return at;
    };
    const [ours, gits] = [unpack(file), unpack(other)];
    execFileSync('diff', ['-r', '--no-dereference', ours, gits]);
    const listing = (at: string) =>
      execFileSync('find', ['.', '!', '-type', 'd', '-printf', '%P %y %T@ %l\n'], { cwd: at, encoding: 'utf8' }).split('\n').sort();
    expect(listing(ours)).toEqual(listing(gits));
    expect(listing(ours).length).toBeGreaterThan(Object.keys(TRICKY).length);
    const executable = (at: string) => execFileSync('find', ['.', '-type', 'f', '-perm', '/111'], { cwd: at, encoding: 'utf8' });
    expect(executable(ours)).toBe(executable(gits));
  });

  test('names no user, has plain modes and the time of the commit', async () => {
    const { file } = await tarball(repo.path, commit);
    const lines = execFileSync('tar', ['--utc', '--full-time', '--numeric-owner', '-tvf', file], { encoding: 'utf8' }).trim().split('\n');
    expect(lines).toHaveLength(Object.keys(TRICKY).length + 1);
    for (const line of lines) expect(line).toMatch(/^(-rw-r--r--|-rwxr-xr-x|lrwxrwxrwx) 0\/0 +\d+ 2014-09-02 12:00:00 /);
  });

  test('is proved by the commit object beside it', async () => {
    const { file, commitObject } = await tarball(repo.path, commit);
    expect(objectId('commit', commitObject)).toBe(commit);
    expect((await checkArchive(file, 'x')).tree).toBe(repo.git('rev-parse', `${commit}^{tree}`));
  });

  test('is the commit’s own content, whatever .gitattributes ask an archive for', async () => {
    const other = makeRepo(join(folder, 'attributes'));
    const id = other.commit({
      '.gitattributes': 'version export-subst\nhidden export-ignore\n* text eol=crlf\n',
      version: '$Format:%H$\n',
      hidden: 'x',
    });
    const { file } = await tarball(other.path, id);
    expect((await checkArchive(file, 'x')).tree).toBe(other.git('rev-parse', `${id}^{tree}`));
  });

  test('is that of the commit that was asked for, not of a replacement', async () => {
    const other = makeRepo(join(folder, 'replaced'));
    const [one, two] = [other.commit({ file: 'one' }), other.commit({ more: 'two' })];
    other.git('replace', one, two);
    const { file, commitObject } = await tarball(other.path, one);
    expect(objectId('commit', commitObject)).toBe(one);
    expect(execFileSync('tar', ['-tf', file], { encoding: 'utf8' })).toBe('top/file\n');
  });

  test('of a large file is whole', async () => {
    const other = makeRepo(join(folder, 'large'));
    const id = other.commit({ large: 'abcdefgh'.repeat(400_000), small: 'x' });
    const { file } = await tarball(other.path, id);
    expect((await checkArchive(file, 'x')).tree).toBe(other.git('rev-parse', `${id}^{tree}`));
  });

  test('may be asked for by the beginning of its id, a tag or an older commit', async () => {
    for (const [name, id] of [
      [commit.slice(0, 10), commit],
      ['RELEASE-1', commit],
      [first, first],
      ['HEAD^', first],
    ]) {
      expect((await tarball(repo.path, name ?? '')).commit).toBe(id);
    }
  });
});

describe('what cannot be had', () => {
  const missing = { code: 'SOURCE_UNAVAILABLE', exit: 3 };

  test.each([
    ['a commit that is not there', 'a'.repeat(40)],
    ['a tree instead of a commit', repo.git('rev-parse', `${commit}^{tree}`)],
    ['an empty name', ''],
    ['an option', '--all'],
    ['an option with a value', '--upload-pack=touch hacked'],
    ['a range', `${first}..${commit}`],
  ])('%s', async (_what, id) => {
    await expect(tarball(repo.path, id)).rejects.toMatchObject(missing);
  });

  test('a path that is no repository, a file, and no path at all', async () => {
    mkdirSync(join(folder, 'plain'));
    writeFileSync(join(folder, 'plain', 'file'), 'x');
    for (const path of ['plain', 'plain/file', 'nowhere']) await expect(tarball(join(folder, path), commit)).rejects.toMatchObject(missing);
  });

  test('a URL that is an option or runs a program, and nothing is run', async () => {
    const trap = join(folder, 'trap');
    for (const url of [`--upload-pack=touch ${trap}`, `ext::sh -c "touch ${trap}"`, `-oProxyCommand=touch ${trap}`, `fd::7`]) {
      await expect(tarball(url, commit)).rejects.toMatchObject(missing);
    }
    await expect(tarball(pathToFileURL(join(folder, 'nowhere')).href, `--upload-pack=touch ${trap}`)).rejects.toMatchObject(missing);
    expect(existsSync(trap)).toBe(false);
  });

  test('a commit with a submodule, which is named', async () => {
    const other = makeRepo(join(folder, 'super'));
    other.commit({ file: 'x' });
    other.git('update-index', '--add', '--cacheinfo', `160000,${commit},deps/inner`);
    other.git('commit', '--quiet', '--message=with a submodule');
    await expect(tarball(other.path, 'HEAD')).rejects.toMatchObject({ ...missing, message: 'it has a submodule: deps/inner' });
  });

  test('a repository whose content is not complete', async () => {
    const other = makeRepo(join(folder, 'holes'));
    const id = other.commit({ file: 'text', more: 'other' });
    const blob = other.git('rev-parse', `${id}:more`);
    execFileSync('rm', [join(other.path, '.git/objects', blob.slice(0, 2), blob.slice(2))]);
    await expect(tarball(other.path, id)).rejects.toMatchObject({ ...missing, message: 'git has no content for more' });
  });
});

describe('a hostile repository on this machine', () => {
  test.each([
    ['blob', 'more', 'git'],
    ['tree', 'sub', 'git'],
    ['blob', 'more', 'file'],
  ])('with a missing %s (%s) and a command to fetch it by %s runs nothing', async (_type, path, way) => {
    const other = makeRepo(join(folder, `hostile-${count++}`));
    const id = other.commit({ file: 'text', more: 'other', 'sub/file': 'below' });
    const object = other.git('rev-parse', `${id}:${path}`);
    execFileSync('rm', [join(other.path, '.git/objects', object.slice(0, 2), object.slice(2))]);
    const marker = join(folder, `marker-${count++}`);
    const command = `touch '${marker}'; false`;
    other.git('config', 'core.repositoryFormatVersion', '1');
    other.git('config', 'extensions.partialClone', 'origin');
    other.git('config', 'remote.origin.url', way === 'file' ? repo.path : 'ssh://host.invalid/repo');
    other.git('config', 'remote.origin.promisor', 'true');
    other.git('config', 'remote.origin.uploadpack', command);
    other.git('config', 'core.sshCommand', command);
    other.git('config', 'protocol.allow', 'always');
    // Git alone falls into it; ours must not.
    expect(() => other.git('cat-file', '-p', object)).toThrow();
    expect(existsSync(marker)).toBe(true);
    rmSync(marker);
    const error = await tarball(other.path, id).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', exit: 3 });
    expect(existsSync(marker)).toBe(false);
  });
});

describe('a remote repository', () => {
  test('is fetched from many times at once, for one commit and for others', async () => {
    const other = makeRepo(join(folder, 'served'));
    const ids = ['one', 'two', 'three', 'four', 'five'].map((text) => other.commit({ [text]: text, same: text }));
    const url = `${await gitServer(folder)}/served`;
    const made = await Promise.all([...ids, ...ids].map((id) => tarball(url, id)));
    expect(made.map((one) => one.commit)).toEqual([...ids, ...ids]);
    for (const one of made) expect((await checkArchive(one.file, 'x')).tree).toBe(other.git('rev-parse', `${one.commit}^{tree}`));
    // One that fails does not keep the next from its turn.
    const [bad, good] = await Promise.allSettled([tarball(url, 'a'.repeat(40)), tarball(url, ids[0] ?? '')]);
    expect([bad.status, good.status]).toEqual(['rejected', 'fulfilled']);
    // A tag that has moved gives what it names now.
    for (const id of [ids[1], ids[3]] as string[]) {
      other.git('tag', '--force', 'xen-RELEASE-9.9.0', id);
      expect((await tarball(url, 'xen-RELEASE-9.9.0')).commit).toBe(id);
    }
    await expect(tarball(url, 'no-such-tag')).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });
});

describe('the machine', () => {
  test('a git that runs us, as in a hook, does not lead to its own repository', async () => {
    const other = makeRepo(join(folder, 'hook'));
    other.commit({ other: 'x' });
    const file = join(folder, 'hook.tar');
    const module = JSON.stringify(join(import.meta.dirname, '../../../src/sources/origins/git.ts'));
    const args = [repo.path, commit, 'top', file, cache].map((arg) => JSON.stringify(arg)).join(',');
    const env = { PATH: process.env['PATH'], GIT_DIR: join(other.path, '.git'), GIT_WORK_TREE: other.path, GIT_INDEX_FILE: 'index' };
    const script = `const {gitTarball,isRepository}=await import(${module});await gitTarball(${args});console.log(await isRepository(${JSON.stringify(folder)}))`;
    const answer = await run(process.execPath, ['--input-type=module', '-e', script], { env });
    expect(answer).toMatchObject({ code: 0, stderr: '' });
    expect(answer.stdout.toString().trim()).toBe('false');
  });

  test('a repository of another owner can be read', async (context) => {
    if (process.getuid?.() !== 0) return context.skip('only root can give a folder to another user');
    const other = makeRepo(join(folder, 'foreign'));
    const id = other.commit({ file: 'x' });
    chownSync(other.path, 65534, 65534);
    chownSync(join(other.path, '.git'), 65534, 65534);
    expect((await tarball(other.path, id)).commit).toBe(id);
  });

  test('isRepository knows the top of a work tree, a bare and a linked one, and nothing below or beside', async () => {
    const bare = join(folder, 'known.git');
    repo.git('clone', '--quiet', '--bare', repo.path, bare);
    const linked = join(folder, 'linked');
    repo.git('worktree', 'add', '--quiet', '--detach', linked);
    for (const path of [repo.path, bare, linked]) expect([path, await isRepository(path)]).toEqual([path, true]);
    for (const path of [
      join(repo.path, 'a'),
      join(linked, 'a'),
      join(bare, 'objects'),
      folder,
      join(folder, 'nowhere'),
      join(repo.path, 'a0'),
    ])
      expect([path, await isRepository(path)]).toEqual([path, false]);
  });

  test('nothing is written into the repository that is read', async () => {
    const other = makeRepo(join(folder, 'untouched'));
    const id = other.commit({ file: 'x' });
    const state = () => readdirSync(other.path, { recursive: true }).sort();
    const before = state();
    await tarball(other.path, id);
    expect(state()).toEqual(before);
  });
});
