import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SourceError } from '../../errors.ts';
import { type RunResult, run } from '../../util/process.ts';

/** Variables of git that say how to reach a remote. All others could lead git to another repository, or another format. */
const KEPT =
  /^GIT_(SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|PROXY_COMMAND|SSL_CAINFO|SSL_CAPATH|SSL_CERT|SSL_KEY|PROXY_SSL_CAINFO|CONFIG_GLOBAL)$/;

/** The environment that git gets. */
export function gitEnvironment(protocols: string, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('GIT_') || KEPT.test(name))),
    GIT_TERMINAL_PROMPT: '0',
    // A repository's own configuration may name a remote for objects that it lacks, and a command to reach it: no such
    // fetch. Older gits do not know the first, all know the second; `none` is not a protocol.
    GIT_NO_LAZY_FETCH: '1',
    GIT_ALLOW_PROTOCOL: protocols,
    GIT_CONFIG_NOSYSTEM: '1',
    // The commit's own objects, whatever `git replace` put in their place.
    GIT_NO_REPLACE_OBJECTS: '1',
    LC_ALL: 'C',
  };
}

// Only objects are read and no hook is run, so another owner's repository does no harm.
const SAFE = ['-c', 'safe.directory=*', '-c', 'fetch.fsckObjects=false', '-c', 'gc.auto=0'];

/** Bytes that git may print. A tree of 100,000 files needs 20 MB. */
const LONGEST_OUTPUT = 64 * 2 ** 20;

/** The arguments of git for a repository, which is always named: git 3 finds no bare repository by itself (safe.bareRepository). */
export const gitArguments = (gitDir: string, args: readonly string[]): string[] => [...SAFE, `--git-dir=${gitDir}`, ...args];

/** What may be set for one call of git. */
export interface GitOptions {
  signal?: AbortSignal | undefined;
  /** As in GIT_ALLOW_PROTOCOL; none where not given. */
  protocols?: string;
  /** Further variables. */
  env?: NodeJS.ProcessEnv;
}

/**
 * Run git on a repository.
 * @param gitDir the folder with its objects, see {@link gitDirOf}
 * @throws SourceError SOURCE_UNAVAILABLE where git is not installed
 */
export async function git(
  gitDir: string,
  args: readonly string[],
  { signal, protocols = 'none', env }: GitOptions = {},
): Promise<RunResult> {
  try {
    return await run('git', gitArguments(gitDir, args), {
      env: { ...gitEnvironment(protocols), ...env },
      limit: LONGEST_OUTPUT,
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

/**
 * The folder with the objects of a repository on this machine (gitrepository-layout(5)): of a work tree, also a linked one, of a
 * bare repository or a mirror.
 * @returns undefined where the folder is not the top of a repository
 */
export async function gitDirOf(path: string): Promise<string | undefined> {
  const there = async (name: string) => stat(join(path, name)).catch(() => undefined);
  const inner = await there('.git');
  if (inner?.isDirectory()) return join(path, '.git');
  if (inner?.isFile() && inner.size < 10_000) {
    const [, target] = /^gitdir: (.+?)\n?$/s.exec(await readFile(join(path, '.git'), 'utf8')) ?? [];
    return target === undefined ? undefined : resolve(path, target);
  }
  const [head, objects, common] = [await there('HEAD'), await there('objects'), await there('commondir')];
  return head && (objects?.isDirectory() || common) ? path : undefined;
}

/** `sha1` or `sha256`, the format of a repository's object ids; undefined where git cannot read it as a repository. */
export async function objectFormat(gitDir: string, signal?: AbortSignal): Promise<string | undefined> {
  const answer = await git(gitDir, ['rev-parse', '--show-object-format'], { signal });
  return answer.code === 0 ? answer.stdout.toString().trim() : undefined;
}
