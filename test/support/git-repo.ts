import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What a file of a test repository is: its text, an executable one, or a symbolic link. */
export type RepoFile = string | { run: string } | { link: string };

export interface TestRepo {
  path: string;
  git: (...args: string[]) => string;
  /** Write files, commit everything, and give the commit id. */
  commit: (files: Record<string, RepoFile>) => string;
}

const ENV = {
  PATH: process.env['PATH'],
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_AUTHOR_DATE: '2014-09-02T10:00:00Z',
  GIT_COMMITTER_NAME: 'C',
  GIT_COMMITTER_EMAIL: 'c@example.org',
  GIT_COMMITTER_DATE: '2014-09-02T12:00:00Z',
};

/** Names that sort differently as files and as folders, an executable, links, a deep and a long name, a name that is not ASCII. */
export const TRICKY: Record<string, RepoFile> = {
  'a.b': 'file a.b',
  'a/x': 'in folder a',
  'a-': 'file a-',
  a0: 'file a0',
  'b/c/d/e': 'deep',
  'b.c/run.sh': { run: '#!/bin/sh\n' },
  'link-in': { link: 'a/x' },
  'b/up': { link: '../a.b' },
  empty: '',
  größe: 'not ASCII',
  [`long/${'n'.repeat(90)}/${'m'.repeat(90)}`]: 'a name that ustar cannot hold',
};

/** A real git repository in a new folder. */
export function makeRepo(path: string): TestRepo {
  mkdirSync(path, { recursive: true });
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', path, ...args], { env: ENV, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' }).trim();
  git('init', '--quiet', '--initial-branch=main');
  const commit = (files: Record<string, RepoFile>) => {
    for (const [name, file] of Object.entries(files)) {
      const at = join(path, name);
      mkdirSync(dirname(at), { recursive: true });
      if (typeof file === 'string') writeFileSync(at, file);
      else if ('link' in file) symlinkSync(file.link, at);
      else {
        writeFileSync(at, file.run);
        chmodSync(at, 0o755);
      }
    }
    git('add', '--all');
    git('commit', '--quiet', '--allow-empty', '--message=a change');
    return git('rev-parse', 'HEAD');
  };
  return { path, git, commit };
}
