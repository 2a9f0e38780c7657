import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Origin } from '../../catalog/types.ts';
import { UsageError } from '../../errors.ts';
import { statOf } from '../../util/files.ts';
import { publicUrl } from './download.ts';
import { isRepository } from './git.ts';

/** An origin given by the user may also be a tarball on this machine. */
export type GivenOrigin = Origin | { type: 'file'; path: string };

/**
 * Read an origin as `--origin` and the configuration write it:
 * an http or https URL or the path of a tarball; `git:REPOSITORY[#COMMIT]` or `git+https://…[#COMMIT]`, or the path
 * of a repository; `dir:FOLDER` or the path of a folder with tarballs; `debian:PACKAGE/FILE@SUITE[,SUITE…]`.
 *
 * @param text the origin
 * @param commit the commit to take where the origin does not name one
 * @throws UsageError OPTION_INVALID that names the forms
 */
export async function parseOrigin(text: string, commit: string | undefined, cwd: string): Promise<GivenOrigin> {
  const invalid = (why: string) =>
    new UsageError('OPTION_INVALID', `the origin "${text}" cannot be used: ${why}`, {
      hint: 'URL or path of a tarball, git:REPOSITORY[#COMMIT], dir:FOLDER, or debian:PACKAGE/FILE@SUITE',
    });
  const git = async (location: string): Promise<Origin> => {
    const { url, named } = await splitCommit(location, cwd);
    const wanted = named ?? commit;
    if (!wanted) throw invalid('no commit is known for this source: add #COMMIT');
    if (wanted.startsWith('-')) throw invalid('not a commit');
    return { type: 'git', url: isRemoteGit(url) ? url : localPath(url, cwd), commit: wanted };
  };
  if (text.startsWith('git+')) return git(text.slice(4));
  if (text.startsWith('git:') && !text.startsWith('git://')) return git(text.slice(4));
  if (text.startsWith('git://')) return git(text);
  if (text.startsWith('dir:')) return { type: 'dir', path: resolve(cwd, text.slice(4)) };
  if (text.startsWith('debian:')) {
    const match = /^debian:([a-z0-9][a-z0-9.+-]*)\/([A-Za-z0-9][A-Za-z0-9._+~-]*)@([a-z0-9,-]+)$/.exec(text);
    if (!match) throw invalid('expected debian:PACKAGE/FILE@SUITE');
    return { type: 'debian', package: match[1] as string, file: match[2] as string, suites: (match[3] as string).split(',') };
  }
  if (/^https?:\/\//.test(text)) return { type: 'tarball', url: text };
  const { url, named } = await splitCommit(text, cwd);
  const path = localPath(url, cwd);
  const there = await statOf(path);
  if (there?.isFile()) return { type: 'file', path };
  if (there?.isDirectory()) return (await isRepository(path)) ? git(text) : { type: 'dir', path };
  throw invalid(
    named === undefined
      ? 'no such file or folder'
      : `no such file or folder ${url} (the text after the #, ${named}, is taken as the commit)`,
  );
}

/** The path on this machine that a text names. */
const localPath = (text: string, cwd: string) =>
  text.startsWith('file://') ? fileURLToPath(text.replaceAll('#', '%23')) : resolve(cwd, text);

/**
 * Part LOCATION#COMMIT. A folder's name may have a # as well, and a branch's name a slash: on this machine the longest location
 * that is there counts. Of a URL the part after the last # is the commit.
 */
async function splitCommit(text: string, cwd: string): Promise<{ url: string; named?: string }> {
  const places = [...text.matchAll(/#/g)].map(({ index }) => index).reverse();
  const parted = (at: number) => ({ url: text.slice(0, at), named: text.slice(at + 1) });
  if (places[0] === undefined) return { url: text };
  if (isRemoteGit(text)) return parted(places[0]);
  for (const candidate of [{ url: text }, ...places.map(parted)]) if (await statOf(localPath(candidate.url, cwd))) return candidate;
  return parted(places[0]);
}

/** Whether a repository is reached over a network. */
export function isRemoteGit(url: string): boolean {
  return /^(https?|git|ssh):\/\//.test(url) || /^[\w.-]+@[\w.-]+:/.test(url);
}

/** An origin as it may be shown, recorded and published: no user names, passwords, query strings or inner paths. */
export function publicOrigin(origin: GivenOrigin): string {
  switch (origin.type) {
    case 'tarball':
      return publicUrl(origin.url);
    case 'git':
      if (/^https?:/.test(origin.url)) return `${publicUrl(origin.url)}#${origin.commit}`;
      return `git commit ${origin.commit} from ${isRemoteGit(origin.url) ? 'another' : 'a local'} repository`;
    case 'debian':
      return `debian ${origin.suites[0]} source package ${origin.package}, ${origin.file}`;
    case 'dir':
      return 'a local folder';
    case 'file':
      return 'a local file';
  }
}

/** An origin as the user of this machine should see it in progress and errors: with local paths. */
export function describeOrigin(origin: GivenOrigin): string {
  switch (origin.type) {
    case 'git':
      return `git ${/^[a-z]+:\/\//.test(origin.url) ? publicUrl(origin.url) : origin.url} at ${/^[0-9a-f]{40}$/.test(origin.commit) ? origin.commit.slice(0, 12) : origin.commit}`;
    case 'debian':
      return `debian:${origin.package}/${origin.file}@${origin.suites.join(',')}`;
    case 'dir':
    case 'file':
      return origin.path;
    case 'tarball':
      return publicUrl(origin.url);
  }
}
