import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SourceError } from '../../errors.ts';
import { sha256 } from '../../util/hash.ts';
import type { RunResult } from '../../util/process.ts';
import { claim } from '../claim.ts';
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

/** Whether a text is a commit id, or the beginning of one. Everything else is the name of a tag or a branch. */
const isId = (commit: string) => /^[0-9a-f]{7,40}$/.test(commit);

/**
 * The cached copy of a remote repository, with a commit in it: an id is looked for there first, a tag is asked for again.
 * @param limit bytes that one fetch may add
 * @returns the copy's git folder
 * @throws SourceError SOURCE_UNAVAILABLE with git's reason; SOURCE_TOO_LARGE, the copy is removed then
 */
export async function cachedRepository(url: string, commit: string, cache: string, limit: number, signal?: AbortSignal): Promise<string> {
  const repository = join(cache, `${sha256(url).slice(0, 16)}.git`);
  return oneByOne(repository, async () => {
    await mkdir(cache, { recursive: true });
    // Where another process uses the copy, its locks are its own.
    const giveBack = await claim(repository);
    try {
      if (giveBack) await removeLeftovers(repository);
      return await fetchInto(repository, url, commit, limit, signal);
    } finally {
      await giveBack?.();
    }
  });
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
  if (isId(commit) && (await git(repository, ['cat-file', '-e', `${commit}^{commit}`], { signal })).code === 0) return repository;
  const ref = isId(commit) ? undefined : await remoteRef(repository, url, commit, signal);
  const fetch = (...args: string[]) => measuredFetch(repository, ['fetch', '--quiet', ...args], url, limit, signal);
  const wanted = ref === undefined ? commit : `+${ref}:${ref}`;
  const shallow = await fetch('--no-tags', '--depth=1', '--', url, wanted);
  if (shallow.code === 0) return repository;
  // Servers may refuse a bare commit id, or to give one commit alone: then the history of all tags and branches, or of this one.
  const everything = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*'];
  const all = await fetch('--no-tags', '--prune', '--', url, ...(ref === undefined ? everything : [wanted]));
  if (all.code === 0) return repository;
  // A damaged copy makes each fetch fail. It is fetched again, once.
  if (!again || !(await isDamaged(repository, signal))) throw refused(all);
  await rm(repository, { recursive: true, force: true });
  return fetchInto(repository, url, commit, limit, signal, false);
}

/** What a git that was killed has left: locks, which stop each later one, and halves of packs. */
async function removeLeftovers(repository: string): Promise<void> {
  const entries = await readdir(repository, { recursive: true, withFileTypes: true }).catch(() => []);
  const left = entries.filter(({ name }) => name.endsWith('.lock') || /^tmp_/.test(name));
  for (const { parentPath, name } of left) await rm(join(parentPath, name), { recursive: true, force: true });
}

/**
 * The full name of a tag or branch of a remote repository, by its own list, so that nothing else is fetched.
 * @throws SourceError SOURCE_UNAVAILABLE with what there is
 */
async function remoteRef(repository: string, url: string, name: string, signal?: AbortSignal): Promise<string> {
  const listed = await git(repository, ['ls-remote', '--heads', '--tags', '--refs', '--', url], remote(url, signal));
  if (listed.code !== 0) throw refused(listed);
  const refs = listed.stdout
    .toString('utf8')
    .split('\n')
    .flatMap((line) => /^[0-9a-f]+\t(refs\/\S+)$/.exec(line)?.[1] ?? []);
  const [ref, other] = ['tags', 'heads']
    .map((kind) => `refs/${kind}/${name}`)
    .sort((a, b) => Number(refs.includes(b)) - Number(refs.includes(a)));
  if (ref === undefined || !refs.includes(ref))
    throw notThere(
      name,
      refs.map((one) => one.replace(/^refs\/\w+\//, '')),
    );
  // One of an earlier fetch would be found in its place.
  if (other !== undefined && !refs.includes(other)) await git(repository, ['update-ref', '-d', other], { signal });
  return ref;
}

/** How a remote repository is reached. */
const remote = (url: string, signal?: AbortSignal): GitOptions => ({
  signal,
  protocols: 'https:http:git:ssh:file',
  env: proxyEnvironment(url),
});

/** The error for a commit, tag or branch that a repository does not have, with what it has. */
export function notThere(commit: string, names: readonly string[]): SourceError {
  return new SourceError('SOURCE_UNAVAILABLE', `it has no commit, tag or branch ${commit}`, {
    ...(names.length > 0 ? { got: `${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}` } : {}),
    hint: 'update the repository (git fetch --tags), or name another commit after a #. A branch may have been renamed',
  });
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
  try {
    const result = await git(repository, args, remote(url, both));
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
