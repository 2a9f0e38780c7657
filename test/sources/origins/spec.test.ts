import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeOrigin, type GivenOrigin, parseOrigin, publicOrigin } from '../../../src/sources/origins/spec.ts';
import { makeRepo } from '../../support/git-repo.ts';
import { put, tempFolder } from '../../support/tar-maker.ts';

const folder = tempFolder();
const commit = makeRepo(join(folder, 'repo')).commit({ 'sub/file': 'x' });
const tarball = put(folder, 'thing-1.0.tar.gz', 'x');
mkdirSync(join(folder, 'tarballs'));
const parse = (text: string, known: string | undefined = undefined) => parseOrigin(text, known, folder);

describe('parseOrigin reads', () => {
  test.each([
    ['https://files.example/thing.tar.gz', { type: 'tarball', url: 'https://files.example/thing.tar.gz' }],
    ['http://files.example/thing.tar.gz?x=1', { type: 'tarball', url: 'http://files.example/thing.tar.gz?x=1' }],
    ['git+https://git.example/x.git#abc', { type: 'git', url: 'https://git.example/x.git', commit: 'abc' }],
    ['git:https://git.example/x.git#abc', { type: 'git', url: 'https://git.example/x.git', commit: 'abc' }],
    ['git+ssh://me@git.example/x.git#abc', { type: 'git', url: 'ssh://me@git.example/x.git', commit: 'abc' }],
    ['git:me@git.example:x.git#abc', { type: 'git', url: 'me@git.example:x.git', commit: 'abc' }],
    ['git://git.example/x.git#abc', { type: 'git', url: 'git://git.example/x.git', commit: 'abc' }],
    ['git:repo#abc', { type: 'git', url: join(folder, 'repo'), commit: 'abc' }],
    ['git:/srv/x.git#abc', { type: 'git', url: '/srv/x.git', commit: 'abc' }],
    ['repo#abc', { type: 'git', url: join(folder, 'repo'), commit: 'abc' }],
    ['dir:tarballs', { type: 'dir', path: join(folder, 'tarballs') }],
    ['dir:repo', { type: 'dir', path: join(folder, 'repo') }],
    ['tarballs', { type: 'dir', path: join(folder, 'tarballs') }],
    ['repo/sub', { type: 'dir', path: join(folder, 'repo/sub') }],
    ['thing-1.0.tar.gz', { type: 'file', path: tarball }],
    ['./thing-1.0.tar.gz', { type: 'file', path: tarball }],
    [tarball, { type: 'file', path: tarball }],
    [pathToFileURL(tarball).href, { type: 'file', path: tarball }],
    [pathToFileURL(join(folder, 'tarballs')).href, { type: 'dir', path: join(folder, 'tarballs') }],
    [
      'debian:xen/xen_4.17.5.orig.tar.xz@bookworm',
      { type: 'debian', package: 'xen', file: 'xen_4.17.5.orig.tar.xz', suites: ['bookworm'] },
    ],
    [
      'debian:grub2/grub2_2.14.orig.tar.xz@sid,trixie',
      { type: 'debian', package: 'grub2', file: 'grub2_2.14.orig.tar.xz', suites: ['sid', 'trixie'] },
    ],
  ])('%s', async (text, origin) => {
    expect(await parse(text)).toEqual(origin);
  });

  test('the commit that the catalog knows, where the origin names none', async () => {
    expect(await parse('repo', commit)).toEqual({ type: 'git', url: join(folder, 'repo'), commit });
    expect(await parse('git+https://git.example/x.git', commit)).toMatchObject({ commit });
    expect(await parse('git:repo#abc', commit)).toMatchObject({ commit: 'abc' });
  });

  test('a file URL of a repository, with the commit behind it', async () => {
    const url = pathToFileURL(join(folder, 'repo')).href;
    expect(await parse(url, commit)).toEqual({ type: 'git', url: join(folder, 'repo'), commit });
    expect(await parse(`${url}#abc`)).toEqual({ type: 'git', url: join(folder, 'repo'), commit: 'abc' });
  });
});

describe('parseOrigin refuses', () => {
  test.each([
    ['nowhere.tar.gz', 'no such file or folder'],
    ['ftp://files.example/thing.tar', 'no such file or folder'],
    ['file:///nowhere/at/all', 'no such file or folder'],
    ['git:repo', 'add #COMMIT'],
    ['git+https://git.example/x.git', 'add #COMMIT'],
    ['git:repo#', 'add #COMMIT'],
    ['repo', 'add #COMMIT'],
    ['git:repo#--upload-pack=x', 'not a commit'],
    ['debian:xen', 'debian:PACKAGE/FILE@SUITE'],
    ['debian:xen/file', 'debian:PACKAGE/FILE@SUITE'],
    ['debian:../x/file@sid', 'debian:PACKAGE/FILE@SUITE'],
    ['debian:xen/../file@sid', 'debian:PACKAGE/FILE@SUITE'],
    ['debian:xen/file@../sid', 'debian:PACKAGE/FILE@SUITE'],
    ['debian:xen/file@', 'debian:PACKAGE/FILE@SUITE'],
  ])('%s', async (text, why) => {
    const error = await parse(text).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'OPTION_INVALID', exit: 2 });
    expect(error.message).toContain(why);
    expect(error.hint).toContain('git:REPOSITORY');
  });

  test('anything else with its own error, never another', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string(), fc.constantFrom('git:', 'dir:', 'debian:', 'file://', 'git+', 'http://', '#')),
        async (text) => {
          const answer = await parse(`${text}`).catch((error) => error);
          if (answer instanceof Error) expect([text, answer]).toMatchObject([text, { code: 'OPTION_INVALID' }]);
        },
      ),
    );
  });
});

describe('publicOrigin', () => {
  test.each<[GivenOrigin, string]>([
    [{ type: 'tarball', url: 'https://user:secret@files.example/x.tar?token=secret' }, 'https://files.example/x.tar'],
    [{ type: 'git', url: 'https://user:secret@git.example/x.git', commit: 'abc' }, 'https://git.example/x.git#abc'],
    [{ type: 'git', url: '/home/secret/x.git', commit: 'abc' }, 'git commit abc from a local repository'],
    [{ type: 'dir', path: '/home/secret' }, 'a local folder'],
    [{ type: 'file', path: '/home/secret/x.tar' }, 'a local file'],
    [{ type: 'debian', package: 'xen', file: 'xen.tar.xz', suites: ['sid'] }, 'debian sid source package xen, xen.tar.xz'],
  ])('gives for %o only what may be published', (origin, text) => {
    expect(publicOrigin(origin)).toBe(text);
  });

  test.each([
    'ssh://secret@git.example/x.git',
    'secret@git.example:x.git',
    'git://secret:secret@git.example/x.git',
    'file:///home/secret/x.git',
  ])('leaks no user name of %s', (url) => {
    expect(publicOrigin({ type: 'git', url, commit: 'abc' })).not.toContain('secret');
  });
});

describe('describeOrigin', () => {
  test('shows local paths to the user of this machine', () => {
    expect(describeOrigin({ type: 'dir', path: '/srv/files' })).toBe('/srv/files');
    expect(describeOrigin({ type: 'git', url: '/srv/x.git', commit: 'a'.repeat(40) })).toBe(`git /srv/x.git at ${'a'.repeat(12)}`);
  });

  test.each(['https', 'http', 'ssh', 'git'])('shows no password of a %s URL', (scheme) => {
    const url = `${scheme}://user:secret@git.example/x.git?token=secret`;
    expect(describeOrigin({ type: 'git', url, commit: 'abc' })).not.toContain('secret');
    expect(describeOrigin({ type: 'git', url, commit: 'abc' })).toContain('git.example/x.git');
  });
});
