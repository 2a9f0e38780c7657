import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Origin, SourceRef } from '../../src/catalog/types.ts';
import { ensureSource, type FetchContext } from '../../src/sources/fetch.ts';
import { Store } from '../../src/sources/store.ts';
import { makeRepo } from '../support/git-repo.ts';
import { type Answer, sendCut, sendWithRange, serve } from '../support/http-server.ts';
import { compress, digest, goodTar, makeRef, put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();
const tar = await goodTar();
const pins = { sha256: digest('sha256', tar) };
const give: Answer = (request, response) => sendWithRange(request, response, tar);
const refuse: Answer = (_request, response) => response.writeHead(404).end();
let count = 0;

function context(settings: Partial<FetchContext['settings']> = {}, store = new Store(join(folder, `store-${count++}`))) {
  const started: string[] = [];
  const done: [string | undefined, boolean][] = [];
  const base = { origins: {}, trust: [], offline: false, mirrors: [], debianMirror: undefined };
  const limits = { timeMs: 1, memory: 1, pids: 1, source: 10 ** 7 };
  const whole: FetchContext = {
    store,
    settings: { ...base, limits, ...settings },
    cwd: folder,
    events: { started: (_ref, origin) => started.push(origin), done: (_ref, stored, cached) => done.push([stored.proof, cached]) },
  };
  /** Files of the store that are no record, no tag and no stored tarball. */
  const partial = () => (existsSync(join(store.folder, 'incoming')) ? readdirSync(join(store.folder, 'incoming')) : []);
  return { context: whole, store, started, done, partial, get: (ref: SourceRef) => ensureSource(ref, whole) };
}

function tarball(url: string): { type: 'tarball'; url: string } {
  return { type: 'tarball', url: `${url}/thing-1.0.tar` };
}

describe('the order of origins', () => {
  test('is the mirrors, then the places of the catalog, and ends with the first that gives the right bytes', async () => {
    const [mirror, first, second, third] = [await serve(refuse), await serve(refuse), await serve(give), await serve(give)];
    const run = context({ mirrors: [`${mirror.url}/files/`] });
    const stored = await run.get(makeRef({ pins, origins: [tarball(first.url), tarball(second.url), tarball(third.url)] }));
    expect(stored).toMatchObject({ proof: 'sha256', record: { origin: `${second.url}/thing-1.0.tar` } });
    expect(run.started).toEqual([`${mirror.url}/files/thing-1.0.tar`, `${first.url}/thing-1.0.tar`, `${second.url}/thing-1.0.tar`]);
    expect([mirror, first, second, third].map(({ requests }) => requests.length)).toEqual([1, 1, 1, 0]);
    expect(run.partial()).toEqual([]);
  });

  test('is the user’s own origins and no others, where there are any', async () => {
    const [mirror, catalog, own] = [await serve(give), await serve(give), await serve(refuse)];
    for (const name of ['thing', 'thing@1.0']) {
      const run = context({ mirrors: [mirror.url], origins: { [name]: [`${own.url}/mine.tar`] } });
      await expect(run.get(makeRef({ pins, origins: [tarball(catalog.url)] }))).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    }
    expect([mirror, catalog, own].map(({ requests }) => requests.length)).toEqual([0, 0, 2]);
  });

  test('has no mirrors for what no checksum pins: their bytes could not be judged', async () => {
    const mirror = await serve(give);
    const run = context({ mirrors: [mirror.url], trust: ['thing'] });
    await expect(run.get(makeRef())).rejects.toMatchObject({ code: 'SOURCE_UNPINNED' });
    expect(mirror.connections()).toBe(0);
  });

  test('goes on after an origin that gives wrong bytes, and never stores those', async () => {
    const [lying, good] = [await serve((_request, response) => response.end(compress('gzip', tar))), await serve(give)];
    const run = context();
    const ref = makeRef({ pins, origins: [tarball(lying.url), tarball(good.url)] });
    expect((await run.get(ref)).record.origin).toContain(good.url);
    expect(await run.store.list()).toHaveLength(1);
    expect(run.partial()).toEqual([]);
  });
});

describe('what cannot be had', () => {
  test('names every origin with its result, and how to give the source by hand', async () => {
    const [missing, lying] = [await serve(refuse), await serve((_request, response) => response.end('no tarball'))];
    const origins = [tarball(missing.url), tarball(lying.url), { type: 'dir', path: join(folder, 'nowhere') } as const];
    const run = context();
    const error = await run.get(makeRef({ pins, origins })).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', exit: 3 });
    expect(error.message.split('\n')).toEqual([
      'thing 1.0 cannot be had; tried:',
      `  ${missing.url}/thing-1.0.tar: HTTP 404`,
      expect.stringMatching(`  ${lying.url}/thing-1.0.tar: .*not what the catalog pins \\(got sha256 [0-9a-f]{64}\\)`),
      `  ${join(folder, 'nowhere')}: ${join(folder, 'nowhere')} has no thing-1.0.tar`,
    ]);
    expect(error.hint).toContain('--origin thing=');
    expect(run.partial()).toEqual([]);
    expect(await run.store.list()).toEqual([]);
  });

  test('from one origin alone has that origin’s own code, expected and got', async () => {
    const lying = await serve((_request, response) => response.end('no tarball'));
    const error = await context()
      .get(makeRef({ pins, origins: [tarball(lying.url)] }))
      .catch((reason) => reason);
    expect(error).toMatchObject({ code: 'SOURCE_MISMATCH', exit: 3, expected: `sha256 ${pins.sha256}` });
  });

  test('is nothing that is larger than allowed, from a server, a file or a folder, and leaves nothing', async () => {
    const endless = await serve((_request, response) => {
      for (let i = 0; i < 50; i++) response.write(Buffer.alloc(1000));
      response.end();
    });
    mkdirSync(join(folder, 'large'));
    put(join(folder, 'large'), 'thing-1.0.tar', Buffer.alloc(5000));
    for (const origin of [`${endless.url}/x.tar`, 'large', 'large/thing-1.0.tar']) {
      const run = context({ origins: { thing: [origin] }, limits: { timeMs: 1, memory: 1, pids: 1, source: 4000 } });
      await expect(run.get(makeRef({ pins }))).rejects.toMatchObject({ code: 'SOURCE_TOO_LARGE', exit: 3 });
      expect([origin, run.partial()]).toEqual([origin, []]);
    }
  });

  test('is asked for no more once the run was stopped', async () => {
    const server = await serve(give);
    const run = context();
    const error = await ensureSource(makeRef({ pins, origins: [tarball(server.url)] }), {
      ...run.context,
      signal: AbortSignal.abort(new Error('stopped')),
    }).catch((reason) => reason);
    expect(error.message).toBe('stopped');
    expect(server.connections()).toBe(0);
  });

  test('where the path that was given is a folder instead of a file says so with exit code 3', async () => {
    mkdirSync(join(folder, 'odd', 'thing-1.0.tar'), { recursive: true });
    put(folder, 'a-file', 'x');
    for (const path of ['odd', 'a-file']) {
      const run = context();
      const error = await run.get(makeRef({ pins, origins: [{ type: 'dir', path: join(folder, path) }] })).catch((reason) => reason);
      expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', exit: 3 });
      expect(run.partial()).toEqual([]);
    }
  });
});

describe('--offline', () => {
  test('opens no connection, and says what was not asked', async () => {
    const server = await serve(give);
    const run = context({ offline: true, mirrors: [server.url], debianMirror: server.url });
    const origins: Origin[] = [
      tarball(server.url),
      { type: 'git', url: `${server.url}/x.git`, commit: 'a'.repeat(40) },
      { type: 'debian', package: 'thing', file: 'thing_1.0.orig.tar', suites: ['stable'] },
    ];
    const error = await run.get(makeRef({ pins, origins })).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'SOURCE_OFFLINE', exit: 3 });
    expect(error.message.match(/not asked, because of --offline/g)).toHaveLength(4);
    expect(server.connections()).toBe(0);
    expect(run.started).toEqual([]);
  });

  test('still takes what is in the store, a folder or a local repository', async () => {
    const server = await serve(give);
    const ref = makeRef({ pins, origins: [tarball(server.url)] });
    mkdirSync(join(folder, 'files'), { recursive: true });
    put(join(folder, 'files'), 'thing-1.0.tar', tar);
    const run = context({ offline: true, origins: { thing: ['dir:files'] } });
    expect((await run.get(ref)).proof).toBe('sha256');
    expect((await run.get(ref)).proof).toBe('sha256');
    expect(run.done).toEqual([
      ['sha256', false],
      ['sha256', true],
    ]);
    const commit = makeRepo(join(folder, 'local')).commit({ file: 'x' });
    const git = context({ offline: true, origins: { thing: ['git:local'] } });
    expect((await git.get(makeRef({ pins: { commit } }))).proof).toBe('commit');
    expect(server.connections()).toBe(0);
  });
});

describe('a cut download', () => {
  test('is resumed by the next run', async () => {
    const controller = new AbortController();
    const server = await serve((request, response, n) => {
      if (n > 1) return sendWithRange(request, response, tar);
      sendCut(response, tar, 1000);
      setTimeout(() => controller.abort(), 100);
    });
    const ref = makeRef({ pins, origins: [tarball(server.url)] });
    const first = context();
    await expect(ensureSource(ref, { ...first.context, signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
    expect(first.partial()).toHaveLength(1);
    const second = context({}, first.store);
    const stored = await second.get(ref);
    expect(readFileSync(stored.path).equals(tar)).toBe(true);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=1000-']);
    expect(second.partial()).toEqual([]);
  });
});
