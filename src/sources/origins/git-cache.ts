import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SourceError } from '../../errors.ts';
import { sha256 } from '../../util/hash.ts';
import type { RunResult } from '../../util/process.ts';
import { type GitOptions, git, objectFormat } from './git-run.ts';
import { proxyEnvironment } from './proxy.ts';

/** Copies of remote repositories, kept in a cache: of each only what was asked for. */

/** How often a fetch is measured, in milliseconds. */
const MEASURED_MS = 100;

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

/**
 * The cached copy of a remote repository, with a commit in it: an id is looked for there first, a tag is asked for again.
 * @param limit bytes that one fetch may add
 * @returns the copy's git folder
 * @throws SourceError SOURCE_UNAVAILABLE with git's reason; SOURCE_TOO_LARGE, the copy is removed then
 */
export async function cachedRepository(url: string, commit: string, cache: string, limit: number, signal?: AbortSignal): Promise<string> {
  const repository = join(cache, `${sha256(url).slice(0, 16)}.git`);
  return oneByOne(repository, () => fetchInto(repository, url, commit, limit, signal));
}

async function fetchInto(
  repository: string,
  url: string,
  commit: string,
  limit: number,
  signal?: AbortSignal,
  again = true,
): Promise<string> {
  await madeReady(repository, signal);
  const tag = tagRefspec(commit);
  if (!tag && (await git(repository, ['cat-file', '-e', `${commit}^{commit}`], { signal })).code === 0) return repository;
  const fetch = (...args: string[]) => measuredFetch(repository, ['fetch', '--quiet', ...args], url, limit, signal);
  const shallow = await fetch('--no-tags', '--depth=1', '--', url, tag ?? commit);
  if (shallow.code === 0) return repository;
  // Servers may refuse a bare commit id: then all tags and heads. Branches that are gone go here, too.
  const all = await fetch('--prune', '--', url, '+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*');
  if (all.code === 0) return repository;
  // A damaged copy makes each fetch fail. It is fetched again, once.
  if (!again || !(await isDamaged(repository, signal))) throw refused(all);
  await rm(repository, { recursive: true, force: true });
  return fetchInto(repository, url, commit, limit, signal, false);
}

/** Whether objects of a cached copy cannot be read. An empty copy is sound. All are read: no reference leads to a fetched commit. */
async function isDamaged(repository: string, signal?: AbortSignal): Promise<boolean> {
  return (await git(repository, ['fsck', '--no-dangling', '--no-progress'], { signal })).code !== 0;
}

/** Remove a cached copy that is damaged, so that it is fetched again. @returns whether it was */
export async function dropDamaged(repository: string, signal?: AbortSignal): Promise<boolean> {
  return oneByOne(repository, async () => {
    if (!(await isDamaged(repository, signal))) return false;
    await rm(repository, { recursive: true, force: true });
    return true;
  });
}

function refused({ stderr }: RunResult): SourceError {
  if (/mismatched algorithms|unsupported object format|hash algorithm/i.test(stderr)) return ofOtherFormat();
  const lines = stderr.trim().split('\n');
  return new SourceError(
    'SOURCE_UNAVAILABLE',
    `git cannot fetch it: ${lines.findLast((line) => /^fatal:/.test(line)) ?? lines.at(-1) ?? ''}`,
  );
}

/** The error for a repository whose ids the catalog cannot have. */
export function ofOtherFormat(): SourceError {
  return new SourceError('SOURCE_UNAVAILABLE', 'this git repository has SHA-256 object ids, and the catalog pins commits by SHA-1', {
    hint: 'give a repository that was cloned from upstream, which has SHA-1 ids (git rev-parse --show-object-format)',
  });
}

/** A repository with SHA-1 ids, whatever this machine makes by default. One of another format or half made is replaced. */
async function madeReady(repository: string, signal?: AbortSignal): Promise<void> {
  if ((await stat(repository).catch(() => undefined)) && (await objectFormat(repository, signal)) === 'sha1') return;
  await rm(repository, { recursive: true, force: true });
  await mkdir(repository, { recursive: true });
  const made = await git(repository, ['init', '--quiet', '--bare', '--object-format=sha1', '--template='], { signal });
  if (made.code !== 0) throw new SourceError('SOURCE_UNAVAILABLE', `git cannot create ${repository}: ${made.stderr.trim()}`);
}

/** Bytes of all that a repository holds, what is under way included. Dumb servers give loose objects, others packs. */
async function held(repository: string): Promise<number> {
  const entries = await readdir(join(repository, 'objects'), { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) =>
        stat(join(entry.parentPath, entry.name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Fetch, and stop it as soon as it has brought more than the limit: git has no such limit of its own. */
async function measuredFetch(repository: string, args: string[], url: string, limit: number, signal?: AbortSignal): Promise<RunResult> {
  const most = (await held(repository)) + limit;
  const stop = new AbortController();
  const watch = setInterval(() => {
    void held(repository).then((size) => {
      if (size > most) stop.abort();
    });
  }, MEASURED_MS);
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const options: GitOptions = { signal: both, protocols: 'https:http:git:ssh:file', env: proxyEnvironment(url) };
  try {
    const result = await git(repository, args, options);
    if ((await held(repository)) <= most) return result;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    clearInterval(watch);
  }
  await rm(repository, { recursive: true, force: true, maxRetries: 5 });
  throw new SourceError('SOURCE_TOO_LARGE', 'the git repository sends more than is allowed', {
    expected: `at most ${limit} bytes`,
    hint: `raise limits.source in the configuration, or clone ${/^https?:/.test(url) ? 'it' : 'that repository'} and give the clone as the origin`,
  });
}
