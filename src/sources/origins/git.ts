import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { pack } from 'tar-stream';
import { SourceError } from '../../errors.ts';
import { ifThere } from '../../util/files.ts';
import { ARCHIVE_LIMITS } from '../archive-format.ts';
import { timeOfCommit } from '../git-tree.ts';
import { cachedRepository, dropDamaged, notThere, ofOtherFormat } from './git-cache.ts';
import { git, gitArguments, gitDirOf, gitEnvironment, objectFormat } from './git-run.ts';

/** Bytes of one file in a tree: it is in memory while it is written. */
const LARGEST_FILE = 64 * 2 ** 20;
/** Bytes of one line of git's output. */
const LONGEST_LINE = 2 ** 16;

/** True for a folder that git can read objects from: a work tree, a bare repository or a mirror. */
export async function isRepository(path: string): Promise<boolean> {
  const gitDir = await gitDirOf(path);
  return gitDir !== undefined && (await objectFormat(gitDir).catch(() => undefined)) !== undefined;
}

function pathOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    return url;
  }
}

/** The git folder of a repository that has the commit: of the one on this machine that is named, or of a cached copy of a remote one. */
async function localRepository(url: string, commit: string, cache: string, limit: number, signal?: AbortSignal): Promise<string> {
  const local = url.startsWith('file://') ? pathOf(url) : url;
  if (await ifThere(stat(local).catch(() => undefined) as Promise<unknown>)) {
    const gitDir = await gitDirOf(local);
    const format = gitDir && (await objectFormat(gitDir, signal));
    if (format === 'sha256') throw ofOtherFormat();
    if (gitDir && format) return gitDir;
    throw new SourceError('SOURCE_UNAVAILABLE', `${local} is not a git repository`, {
      hint: 'give the top folder of a clone or of a mirror',
    });
  }
  if (!/^(https?|git|ssh):\/\//.test(url) && !/^[\w.-]+@[\w.-]+:/.test(url)) {
    throw new SourceError('SOURCE_UNAVAILABLE', `${url}: no such repository`, {
      hint: 'give a path or an https, ssh or git URL; the text after a # is taken as the commit',
    });
  }
  return cachedRepository(url, commit, cache, limit, signal);
}

/** The error for a commit, tag or branch that a repository does not have, with what it has. */
async function noCommit(repository: string, commit: string, signal?: AbortSignal): Promise<SourceError> {
  const listed = await git(
    repository,
    ['for-each-ref', '--count=6', '--sort=-creatordate', '--format=%(refname:short)', 'refs/heads', 'refs/tags'],
    {
      signal,
    },
  );
  return notThere(commit, listed.stdout.toString().split('\n').filter(Boolean));
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
 * @param limit bytes that are fetched at the most, and bytes of all files of the tree at the most
 * @throws SourceError SOURCE_UNAVAILABLE where the repository lacks the commit or cannot be reached or read; SOURCE_TOO_LARGE
 */
export async function gitTarball(
  url: string,
  commit: string,
  top: string,
  file: string,
  cache: string,
  signal?: AbortSignal,
  limit: number = ARCHIVE_LIMITS.unpacked,
): Promise<GitTarball> {
  const repository = await localRepository(url, commit, cache, limit, signal);
  try {
    return await tarballFrom(repository, commit, top, file, limit, signal);
  } catch (error) {
    // A copy in the cache can be fetched again; a repository of the user's cannot.
    const cached = repository.startsWith(join(cache, '/'));
    const unreadable = error instanceof SourceError && error.code === 'SOURCE_UNAVAILABLE';
    if (!cached || !unreadable || !(await dropDamaged(repository, signal))) throw error;
    return tarballFrom(await localRepository(url, commit, cache, limit, signal), commit, top, file, limit, signal);
  }
}

async function tarballFrom(
  repository: string,
  commit: string,
  top: string,
  file: string,
  limit: number,
  signal?: AbortSignal,
): Promise<GitTarball> {
  const full = await git(repository, ['rev-parse', '--verify', '--quiet', '--end-of-options', `${commit}^{commit}`], { signal });
  const id = full.stdout.toString().trim();
  if (full.code !== 0 || !/^[0-9a-f]{40}$/.test(id)) throw await noCommit(repository, commit, signal);
  const commitObject = (await git(repository, ['cat-file', 'commit', id], { signal })).stdout;
  const listing = await git(repository, ['ls-tree', '-r', '-t', '-l', '-z', '--full-tree', id], { signal });
  if (listing.code === null) throw tooManyFiles();
  if (listing.code !== 0) throw new SourceError('SOURCE_UNAVAILABLE', `its tree cannot be read: ${listing.stderr.trim()}`);
  const lines = listing.stdout.toString('utf8').split('\0').filter(Boolean);
  if (lines.length > ARCHIVE_LIMITS.entries) throw tooManyFiles();
  // Folders are listed so that one with nothing but folders in it is counted, too.
  const entries = lines.filter((line) => !/^\d{6} tree /.test(line)).map(parseEntry);
  demandSmall(entries, limit);
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
  /** Bytes. */
  size: number;
  path: string;
}

const tooManyFiles = () =>
  new SourceError('SOURCE_TOO_LARGE', 'its tree has too many files and folders', {
    expected: `at most ${ARCHIVE_LIMITS.entries}`,
    hint: 'use another origin',
  });

/** @throws SourceError SOURCE_TOO_LARGE for a tree with more than an archive may hold */
function demandSmall(entries: readonly ListedEntry[], limit: number): void {
  const tooLarge = (what: string, expected: string, hint: string) => {
    throw new SourceError('SOURCE_TOO_LARGE', `its tree has ${what}`, { expected, hint });
  };
  const raise = 'raise limits.source in the configuration';
  const large = entries.find(({ size }) => size > LARGEST_FILE);
  if (large) tooLarge(`a file that is too large: ${large.path.slice(0, 200)}`, `at most ${LARGEST_FILE} bytes`, 'use another origin');
  if (entries.reduce((sum, { size }) => sum + size, 0) > limit) tooLarge('more content than is allowed', `at most ${limit} bytes`, raise);
}

function parseEntry(line: string): ListedEntry {
  const match = /^(\d{6}) (blob|commit|tree) ([0-9a-f]{40}) +(\d+|-|BAD)\t([\s\S]+)$/.exec(line.slice(0, LONGEST_LINE));
  if (!match) throw new SourceError('SOURCE_UNAVAILABLE', `git lists an entry that is not understood: ${line.slice(0, 200)}`);
  if (match[2] !== 'blob')
    throw new SourceError('SOURCE_UNAVAILABLE', `it has a submodule: ${match[5]}`, { hint: 'give that source as a tarball' });
  // Where the content is missing there is no size; reading it says so.
  return { mode: match[1] as string, id: match[3] as string, size: Number(match[4]) || 0, path: match[5] as string };
}

/** The contents of blobs, in order, through one `git cat-file --batch`. */
async function* blobs(
  repository: string,
  entries: ListedEntry[],
  signal?: AbortSignal,
): AsyncGenerator<{ entry: ListedEntry; content: Buffer }> {
  const child = spawn('git', gitArguments(repository, ['cat-file', '--batch']), {
    env: gitEnvironment('none'),
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
        if (buffer.length > LONGEST_LINE) throw new SourceError('SOURCE_UNAVAILABLE', 'git answers with a line that is too long');
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
