import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { pack } from 'tar-stream';
import { SourceError } from '../../errors.ts';
import { ifThere } from '../../util/files.ts';
import { sha256 } from '../../util/hash.ts';
import { run } from '../../util/process.ts';
import { timeOfCommit } from '../git-tree.ts';

const ENV: NodeJS.ProcessEnv = {
  ...process.env,
  GIT_TERMINAL_PROMPT: '0',
  // A repository's own configuration may name a remote for objects that it lacks, and a command to reach it: no such
  // fetch. Older gits do not know the first, all know the second; `none` is no protocol.
  GIT_NO_LAZY_FETCH: '1',
  GIT_ALLOW_PROTOCOL: 'none',
  GIT_CONFIG_NOSYSTEM: '1',
  // The commit's own objects, whatever `git replace` put in their place.
  GIT_NO_REPLACE_OBJECTS: '1',
  LC_ALL: 'C',
  // Set where a git hook or alias runs us: they would lead to that repository (`git rev-parse --local-env-vars`).
  GIT_DIR: undefined,
  GIT_COMMON_DIR: undefined,
  GIT_WORK_TREE: undefined,
  GIT_IMPLICIT_WORK_TREE: undefined,
  GIT_INDEX_FILE: undefined,
  GIT_OBJECT_DIRECTORY: undefined,
  GIT_ALTERNATE_OBJECT_DIRECTORIES: undefined,
  GIT_NAMESPACE: undefined,
  GIT_PREFIX: undefined,
  GIT_SHALLOW_FILE: undefined,
  GIT_GRAFT_FILE: undefined,
};
const FETCH_ENV: NodeJS.ProcessEnv = { ...ENV, GIT_ALLOW_PROTOCOL: 'https:http:git:ssh:file' };
// Only objects are read, no hook is run and nothing is fetched into it, so another owner's repository does no harm.
const SAFE = ['-c', 'safe.directory=*', '-c', 'fetch.fsckObjects=false', '-c', 'gc.auto=0'];

async function git(
  repository: string,
  args: string[],
  signal?: AbortSignal,
): Promise<{ code: number | null; stdout: Buffer; stderr: string }> {
  try {
    return await run('git', [...SAFE, '-C', repository, ...args], {
      env: args[0] === 'fetch' ? FETCH_ENV : ENV,
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new SourceError('SOURCE_UNAVAILABLE', 'git is not installed, and this origin is a git repository', {
        hint: 'apt-get install git',
      });
    }
    throw error;
  }
}

/** True for a folder that git can read objects from: a work tree, a bare repository or a mirror. */
export async function isRepository(path: string): Promise<boolean> {
  if (!(await ifThere(stat(path)))?.isDirectory()) return false;
  const answer = await git(path, ['rev-parse', '--git-dir', '--is-inside-work-tree', '--show-prefix']).catch(() => undefined);
  const [gitDir, inWorkTree, prefix] = answer?.code === 0 ? answer.stdout.toString().split('\n') : [];
  // rev-parse also answers in any folder below a work tree; only the repository's own top counts.
  return gitDir === '.' || (inWorkTree === 'true' && prefix === '');
}

function pathOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    return url;
  }
}

/** A repository on this machine that has the commit: the one named, or a cached copy of a remote one. */
async function localRepository(url: string, commit: string, cache: string, signal?: AbortSignal): Promise<string> {
  const local = url.startsWith('file://') ? pathOf(url) : url;
  if (await ifThere(stat(local).catch(() => undefined) as Promise<unknown>)) return local;
  if (!/^(https?|git|ssh):\/\//.test(url) && !/^[\w.-]+@[\w.-]+:/.test(url)) {
    throw new SourceError('SOURCE_UNAVAILABLE', `${url}: no such repository`, { hint: 'give a path or an https, ssh or git URL' });
  }
  const repository = join(cache, `${sha256(url).slice(0, 16)}.git`);
  return oneByOne(repository, () => fetchInto(repository, url, commit, signal));
}

const underWay = new Map<string, Promise<unknown>>();

/** Do a piece of work once all earlier ones with this key have ended, well or not: git's locks make the later one fail. */
function oneByOne<T>(key: string, work: () => Promise<T>): Promise<T> {
  const result = (underWay.get(key) ?? Promise.resolve()).then(work);
  const ended = result
    .catch(() => {})
    .then(() => {
      if (underWay.get(key) === ended) underWay.delete(key);
    });
  underWay.set(key, ended);
  return result;
}

/** A tag as git fetches it; undefined for a commit id. */
const tagRefspec = (commit: string) => (/^[0-9a-f]{7,40}$/.test(commit) ? undefined : `+refs/tags/${commit}:refs/tags/${commit}`);

/** Have the commit in the cached copy of a remote repository: an id is looked for there first, a tag asked for anew. */
async function fetchInto(repository: string, url: string, commit: string, signal?: AbortSignal): Promise<string> {
  await mkdir(repository, { recursive: true });
  await git(repository, ['init', '--quiet', '--bare', '.'], signal);
  const tag = tagRefspec(commit);
  if (!tag && (await git(repository, ['cat-file', '-e', `${commit}^{commit}`], signal)).code === 0) return repository;
  const shallow = await git(repository, ['fetch', '--quiet', '--no-tags', '--depth=1', '--', url, tag ?? commit], signal);
  if (shallow.code === 0) return repository;
  // Servers may refuse a bare commit id: then all tags and heads.
  const all = await git(repository, ['fetch', '--quiet', '--', url, '+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*'], signal);
  if (all.code !== 0) throw new SourceError('SOURCE_UNAVAILABLE', `git cannot fetch it: ${all.stderr.trim().split('\n').at(-1) ?? ''}`);
  return repository;
}

/** What a tarball was made from. */
export interface GitTarball {
  /** The full commit id. */
  commit: string;
  commitObject: Buffer;
}

/**
 * Make the tarball of a commit: ustar or pax entries below `top/`, sorted as git sorts, owner 0, modes 0644, 0755 and
 * 0777 (links), time of the commit, not compressed. The same commit gives the same bytes each time.
 * Attributes such as export-subst are not applied: the content is the commit's own.
 *
 * @param url a path, or an https, ssh, git or file URL
 * @param commit a commit id or a tag (in a repository on this machine also the beginning of an id)
 * @param file where to write it
 * @throws SourceError SOURCE_UNAVAILABLE where the repository or the commit cannot be had
 */
export async function gitTarball(
  url: string,
  commit: string,
  top: string,
  file: string,
  cache: string,
  signal?: AbortSignal,
): Promise<GitTarball> {
  const repository = await localRepository(url, commit, cache, signal);
  const full = await git(repository, ['rev-parse', '--verify', '--quiet', '--end-of-options', `${commit}^{commit}`], signal);
  const id = full.stdout.toString().trim();
  if (full.code !== 0 || !/^[0-9a-f]{40}$/.test(id)) {
    throw new SourceError('SOURCE_UNAVAILABLE', `it has no commit ${commit}`, {
      hint: full.stderr.trim() || 'update the repository (git fetch --tags)',
    });
  }
  const commitObject = (await git(repository, ['cat-file', 'commit', id], signal)).stdout;
  const listing = await git(repository, ['ls-tree', '-r', '-z', '--full-tree', id], signal);
  if (listing.code !== 0) throw new SourceError('SOURCE_UNAVAILABLE', `its tree cannot be read: ${listing.stderr.trim()}`);
  const entries = listing.stdout.toString('utf8').split('\0').filter(Boolean).map(parseEntry);
  const mtime = new Date(timeOfCommit(commitObject) * 1000);
  const tar = pack();
  const written = pipeline(tar, createWriteStream(file, { flags: 'w' }));
  const fill = async () => {
    for await (const { entry, content } of blobs(repository, entries, signal)) {
      const common = { name: `${top}/${entry.path}`, mtime, uid: 0, gid: 0, uname: '', gname: '' };
      await new Promise<void>((resolve, reject) => {
        const done = (error?: Error | null) => (error ? reject(error) : resolve());
        if (entry.mode === '120000')
          tar.entry({ ...common, type: 'symlink', mode: 0o777, linkname: content.toString('utf8'), size: 0 }, done);
        else tar.entry({ ...common, mode: entry.mode === '100755' ? 0o755 : 0o644, size: content.length }, content, done);
      });
    }
    tar.finalize();
  };
  await Promise.all([
    written,
    fill().catch((error: Error) => {
      tar.destroy(error);
      throw error;
    }),
  ]);
  return { commit: id, commitObject };
}

interface ListedEntry {
  mode: string;
  id: string;
  path: string;
}

function parseEntry(line: string): ListedEntry {
  const match = /^(\d{6}) (blob|commit|tree) ([0-9a-f]{40})\t([\s\S]+)$/.exec(line);
  if (!match) throw new SourceError('SOURCE_UNAVAILABLE', `git lists an entry that is not understood: ${line}`);
  if (match[2] !== 'blob')
    throw new SourceError('SOURCE_UNAVAILABLE', `it has a submodule: ${match[4]}`, { hint: 'give that source as a tarball' });
  return { mode: match[1] as string, id: match[3] as string, path: match[4] as string };
}

/** The contents of blobs, in order, through one `git cat-file --batch`. */
async function* blobs(
  repository: string,
  entries: ListedEntry[],
  signal?: AbortSignal,
): AsyncGenerator<{ entry: ListedEntry; content: Buffer }> {
  const child = spawn('git', [...SAFE, '-C', repository, 'cat-file', '--batch'], {
    env: ENV,
    stdio: ['pipe', 'pipe', 'ignore'],
    ...(signal ? { signal } : {}),
  });
  const failed = new Promise<never>((_, reject) => child.on('error', reject));
  failed.catch(() => {});
  child.stdin.on('error', () => {});
  child.stdin.end(entries.map((entry) => `${entry.id}\n`).join(''));
  try {
    const chunks = child.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    let buffer: Buffer = Buffer.alloc(0);
    const more = async () => {
      const next = await Promise.race([chunks.next(), failed]);
      if (next.done)
        throw new SourceError('SOURCE_UNAVAILABLE', 'git ended before it had given all files', { hint: 'run git fsck in the repository' });
      buffer = buffer.length === 0 ? next.value : Buffer.concat([buffer, next.value]);
    };
    for (const entry of entries) {
      let end = buffer.indexOf(10);
      while (end < 0) {
        await more();
        end = buffer.indexOf(10);
      }
      const header = buffer.subarray(0, end).toString();
      const size = Number(/^[0-9a-f]{40} blob (\d+)$/.exec(header)?.[1] ?? Number.NaN);
      if (Number.isNaN(size))
        throw new SourceError('SOURCE_UNAVAILABLE', `git has no content for ${entry.path}`, {
          hint: 'the repository is not complete; use another origin',
        });
      buffer = buffer.subarray(end + 1);
      if (buffer.length < size + 1) {
        // One growing copy for each chunk would be quadratic for large files: gather first.
        const parts: Buffer[] = [buffer];
        let have = buffer.length;
        while (have < size + 1) {
          buffer = Buffer.alloc(0);
          await more();
          parts.push(buffer);
          have += buffer.length;
        }
        buffer = Buffer.concat(parts);
      }
      yield { entry, content: buffer.subarray(0, size) };
      buffer = buffer.subarray(size + 1);
    }
  } finally {
    child.kill();
  }
}
