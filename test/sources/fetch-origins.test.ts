import { appendFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Origin, SourceRef } from '../../src/catalog/types.ts';
import { ensureSource, type FetchContext } from '../../src/sources/fetch.ts';
import { isTrusted } from '../../src/sources/pins.ts';
import { Store } from '../../src/sources/store.ts';
import { makeRepo } from '../support/git-repo.ts';
import { serve } from '../support/http-server.ts';
import { digest, goodTar, makeRef, makeTar, put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();
const tar = await goodTar();
const pins = { sha256: digest('sha256', tar) };
mkdirSync(join(folder, 'files'));
put(join(folder, 'files'), 'thing-1.0.tar', tar);
let count = 0;

function get(ref: SourceRef, origins: string[], trust: string[] = [], store = new Store(join(folder, `store-${count++}`))) {
  const limits = { timeMs: 1, memory: 1, pids: 1, source: 10 ** 7 };
  const settings: FetchContext['settings'] = {
    origins: { thing: origins },
    trust,
    offline: false,
    mirrors: [],
    debianMirror: undefined,
    limits,
  };
  return ensureSource(ref, { store, settings, cwd: folder });
}

describe('a source that nothing proves', () => {
  test('is refused without --trust, and the message says what would take it', async () => {
    const store = new Store(join(folder, 'untrusted'));
    const error = await get(makeRef(), ['dir:files'], ['other'], store).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'SOURCE_UNPINNED', exit: 3, got: `sha256 ${pins.sha256}` });
    expect(error.hint).toContain('--trust thing');
    expect([await store.list(), readdirSync(join(store.folder, 'incoming'))]).toEqual([[], []]);
  });

  test('is not even asked for at the catalog’s own places, and the message says how it would be', async () => {
    const server = await serve((_request, response) => response.end(tar));
    const run = { store: new Store(join(folder, 'not-asked')), cwd: folder };
    const limits = { timeMs: 1, memory: 1, pids: 1, source: 10 ** 7 };
    const settings = { origins: {}, trust: [] as string[], offline: false, mirrors: [], debianMirror: undefined, limits };
    const ref = makeRef({ origins: [{ type: 'tarball', url: `${server.url}/thing-1.0.tar` }] });
    const error = await ensureSource(ref, { ...run, settings }).catch((reason) => reason);
    expect(error).toMatchObject({
      code: 'SOURCE_UNPINNED',
      hint: expect.stringContaining(`--trust thing takes ${server.url}/thing-1.0.tar`),
    });
    expect(server.connections()).toBe(0);
    expect((await ensureSource(ref, { ...run, settings: { ...settings, trust: ['thing'] } })).proof).toBeUndefined();
  });

  test('is taken from a repository at the tag that the catalog names', async () => {
    const repo = makeRepo(join(folder, 'tagged'));
    const tagged = repo.commit({ a: 'tagged\n' });
    repo.git('tag', 'xen-RELEASE-9.9.0');
    repo.commit({ a: 'later\n' });
    const ref = makeRef({ origins: [{ type: 'git', url: 'https://git.invalid/thing.git', commit: 'xen-RELEASE-9.9.0' }] });
    const { record } = await get(ref, ['git:tagged'], ['thing']);
    expect(record.origin).toContain(tagged);
  });

  test.each(['thing', 'thing@1.0'])('is taken with --trust %s, without a proof', async (name) => {
    expect((await get(makeRef(), ['dir:files'], [name])).proof).toBeUndefined();
  });

  test('is not given again from the store once it is trusted no more', async () => {
    const store = new Store(join(folder, 'once-trusted'));
    await get(makeRef(), ['dir:files'], ['thing'], store);
    await expect(get(makeRef(), ['dir:files'], [], store)).rejects.toMatchObject({ code: 'SOURCE_UNPINNED' });
  });

  test('is what its origin gives now, not what it gave once', async () => {
    const store = new Store(join(folder, 'given-anew'));
    const place = join(folder, 'given');
    mkdirSync(place);
    put(place, 'thing-1.0.tar', tar);
    expect((await get(makeRef(), ['dir:given'], ['thing'], store)).record.sha256).toBe(pins.sha256);
    const newer = await goodTar('thing-1.0', 'newer\n');
    put(place, 'thing-1.0.tar', newer);
    expect((await get(makeRef(), ['dir:given'], ['thing'], store)).record.sha256).toBe(digest('sha256', newer));
  });

  test('keeps its proof where a pin holds, trusted or not', async () => {
    expect((await get(makeRef({ pins }), ['dir:files'], ['thing'])).proof).toBe('sha256');
  });

  test('isTrusted asks for the whole name, and the version where one is said', () => {
    const ref = { name: 'thing', version: '1.0' };
    expect([['thing'], ['thing@1.0'], ['thin'], ['thing@1'], ['thing@'], ['things'], []].map((trust) => isTrusted(ref, trust))).toEqual([
      ...[true, true, false, false, false, false, false],
    ]);
  });
});

describe('local origins', () => {
  test('a folder gives the file by its name, also by the one that Debian has for it', async () => {
    expect((await get(makeRef({ pins }), ['dir:files'])).record).toMatchObject({ origin: 'a local folder', sha256: pins.sha256 });
    mkdirSync(join(folder, 'debian-files'));
    put(join(folder, 'debian-files'), 'thing_1.0.orig.tar', tar);
    const origins: Origin[] = [{ type: 'debian', package: 'thing', file: 'thing_1.0.orig.tar', suites: ['stable'] }];
    expect((await get(makeRef({ pins, origins }), ['dir:debian-files'])).record.file).toBe('thing-1.0.tar');
  });

  test('a tarball is copied, not moved, whatever it is called', async () => {
    put(folder, 'my own.tar', tar);
    const stored = await get(makeRef({ pins }), ['my own.tar']);
    expect(stored.record.origin).toBe('a local file');
    expect(readdirSync(folder)).toContain('my own.tar');
  });

  test('a file that was changed does not become the source', async () => {
    const path = put(folder, 'changed.tar', tar);
    appendFileSync(path, 'x');
    await expect(get(makeRef({ pins }), ['changed.tar'])).rejects.toMatchObject({ code: 'SOURCE_MISMATCH' });
  });

  test('an unsafe tarball is refused although it is trusted', async () => {
    put(folder, 'evil.tar', await makeTar([{ name: 't/../../evil', content: 'x' }]));
    const store = new Store(join(folder, 'evil-store'));
    await expect(get(makeRef(), ['evil.tar'], ['thing'], store)).rejects.toMatchObject({ code: 'SOURCE_ARCHIVE_UNSAFE' });
    expect([await store.list(), readdirSync(join(store.folder, 'incoming'))]).toEqual([[], []]);
  });
});

describe('a git origin', () => {
  const repo = makeRepo(join(folder, 'repo'));
  const commit = repo.commit({ file: 'text', 'run.sh': { run: '#!/bin/sh\n' } });
  const later = repo.commit({ more: 'text' });
  const ref = makeRef({ pins: { commit } });

  test('is proved by the commit alone, from a path or a file URL, with the same bytes', async () => {
    const stored = [];
    for (const origin of ['git:repo', 'repo', `git+${pathToFileURL(repo.path).href}`]) stored.push(await get(ref, [origin]));
    for (const { proof, record } of stored) {
      expect(proof).toBe('commit');
      expect(record).toMatchObject({ top: 'thing-1.0', format: 'tar', sha256: stored[0]?.record.sha256 });
      expect(record.origin).toBe(`git commit ${commit} from a local repository`);
    }
  });

  test('at another commit than the pinned one is refused', async () => {
    await expect(get(ref, [`git:repo#${later}`])).rejects.toMatchObject({ code: 'SOURCE_MISMATCH', got: `git commit ${later}` });
  });

  test('may name the commit by its beginning or a tag, and is held against the whole id', async () => {
    repo.git('tag', 'v1', commit);
    repo.git('tag', 'v2', later);
    expect((await get(ref, [`git:repo#${commit.slice(0, 8)}`])).proof).toBe('commit');
    expect((await get(ref, ['git:repo#v1'])).proof).toBe('commit');
    await expect(get(ref, ['git:repo#v2'])).rejects.toMatchObject({ code: 'SOURCE_MISMATCH' });
  });

  test('that cannot be reached names no password, and leaves nothing', async () => {
    const server = await serve((_request, response) => response.writeHead(403).end());
    const store = new Store(join(folder, 'no-git'));
    const url = server.url.replace('//', '//user:hunter2@');
    const error = await get(ref, [`git+${url}/x.git`], [], store).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', exit: 3 });
    expect(`${error.message} ${error.hint}`).not.toMatch(/hunter2/);
    expect(server.requests.length).toBeGreaterThan(0);
    expect(readdirSync(join(store.folder, 'incoming'))).toEqual([]);
  });

  test('whose repository is not complete leaves nothing', async () => {
    const holes = makeRepo(join(folder, 'holes'));
    const id = holes.commit({ file: 'lost', more: 'kept' });
    const blob = holes.git('rev-parse', `${id}:file`);
    const store = new Store(join(folder, 'holes-store'));
    rmSync(join(holes.path, '.git/objects', blob.slice(0, 2), blob.slice(2)));
    await expect(get(makeRef({ pins: { commit: id } }), ['git:holes'], [], store)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(readdirSync(join(store.folder, 'incoming'))).toEqual([]);
  });
});
