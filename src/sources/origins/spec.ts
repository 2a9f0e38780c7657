import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Origin } from '../../catalog/types.ts';
import { UsageError } from '../../errors.ts';
import { ifThere } from '../../util/files.ts';
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
  const git = (location: string): Origin => {
    const hash = location.lastIndexOf('#');
    const url = hash < 0 ? location : location.slice(0, hash);
    const wanted = hash < 0 ? commit : location.slice(hash + 1);
    if (!wanted) throw invalid('no commit is known for this source: add #COMMIT');
    if (wanted.startsWith('-')) throw invalid('not a commit');
    return { type: 'git', url: isRemoteGit(url) || url.startsWith('file://') ? url : resolve(cwd, url), commit: wanted };
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
  const path = text.startsWith('file://') ? fileURLToPath(text) : resolve(cwd, text.replace(/#[^#/]*$/, ''));
  const there = await ifThere(stat(path));
  if (there?.isFile()) return { type: 'file', path };
  if (there?.isDirectory()) return (await isRepository(path)) ? git(`${path}${/#[^#/]*$/.exec(text)?.[0] ?? ''}`) : { type: 'dir', path };
  throw invalid('no such file or folder');
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
