import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { objectId, treeOfCommit } from '../../src/sources/git-tree.ts';
import { Store } from '../../src/sources/store.ts';
import { makeRepo } from '../support/git-repo.ts';
import { compress, digest, goodTar, makeRef, makeTar, put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();
const tar = await goodTar();
const pinned = makeRef({ pins: { sha256: digest('sha256', tar) } });
let count = 0;

function newStore(): Store {
  return new Store(join(folder, `store-${count++}`));
}

/** Bytes in the store's own folder for downloads, as a fetch leaves them. */
async function incoming(store: Store, bytes: Uint8Array): Promise<string> {
  return put(await store.incoming(), `file-${count++}`, bytes);
}

/** Every file below the store except its tag. */
function files(store: Store): string[] {
  return readdirSync(store.folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'CACHEDIR.TAG')
    .map((entry) => entry.name);
}

describe('add', () => {
  test('moves what a pin proves to the place of its checksum, and find gives it', async () => {
    const store = newStore();
    const file = await incoming(store, tar);
    const added = await store.add(file, { ref: pinned, origin: 'here', trusted: false });
    expect(added.proof).toBe('sha256');
    expect(added.path).toBe(join(store.folder, 'sha256', digest('sha256', tar).slice(0, 2), digest('sha256', tar)));
    expect(readFileSync(added.path).equals(tar)).toBe(true);
    expect(existsSync(file)).toBe(false);
    expect(await store.find(pinned, false)).toEqual(added);
    expect(added.record).toMatchObject({ name: 'thing', origin: 'here', format: 'tar', top: 'thing-1.0', sha512: digest('sha512', tar) });
    await store.check(added);
  });

  test.each([
    ['a wrong SHA-256', { sha256: 'a'.repeat(64) }],
    ['a wrong SHA-512', { sha512: 'a'.repeat(128) }],
    ['a right SHA-256 beside a wrong SHA-512', { sha256: digest('sha256', tar), sha512: 'a'.repeat(128) }],
    ['a commit that nothing shows', { commit: 'a'.repeat(40) }],
  ])('never stores what has %s, and removes the file', async (_what, pins) => {
    const store = newStore();
    const ref = makeRef({ pins });
    const file = await incoming(store, tar);
    await expect(store.add(file, { ref, origin: 'here', trusted: false })).rejects.toMatchObject({ code: 'SOURCE_MISMATCH', exit: 3 });
    expect(files(store)).toEqual([]);
    expect(await store.find(ref, true)).toBeUndefined();
  });

  test('stores what nothing pins only when it is trusted, and then without a proof', async () => {
    const store = newStore();
    await expect(store.add(await incoming(store, tar), { ref: makeRef(), origin: 'here', trusted: false })).rejects.toMatchObject({
      code: 'SOURCE_UNPINNED',
    });
    expect(files(store)).toEqual([]);
    const added = await store.add(await incoming(store, tar), { ref: makeRef(), origin: 'here', trusted: true });
    expect(added.proof).toBeUndefined();
    expect(await store.find(makeRef(), false)).toBeUndefined();
    expect(await store.find(makeRef(), true)).toEqual(added);
  });

  test('never stores an unsafe or a broken tarball, not even one that a checksum proves', async () => {
    const store = newStore();
    for (const [bytes, code] of [
      [await makeTar([{ name: 't/../../evil', content: 'x' }]), 'SOURCE_ARCHIVE_UNSAFE'],
      [compress('gzip', tar).subarray(0, -5), 'SOURCE_ARCHIVE_BROKEN'],
    ] as const) {
      const ref = makeRef({ pins: { sha256: digest('sha256', bytes) } });
      await expect(store.add(await incoming(store, bytes), { ref, origin: 'here', trusted: true })).rejects.toMatchObject({ code });
    }
    expect(files(store)).toEqual([]);
  });

  test('of the same source many times at once gives the same record each time and one file', async () => {
    const store = newStore();
    const all = await Promise.all(
      Array.from({ length: 8 }, async () => store.add(await incoming(store, tar), { ref: pinned, origin: 'here', trusted: false })),
    );
    for (const one of all) expect(one).toEqual(all[0]);
    expect(files(store).sort()).toEqual([digest('sha256', tar), `${digest('sha256', tar)}.json`].sort());
    await store.check(all[0] as (typeof all)[0]);
  });

  test('with no room left says so and leaves nothing half-written', async (context) => {
    const small = join(folder, 'small');
    mkdirSync(small);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,nr_inodes=8', 'none', small], { stdio: 'pipe' });
    } catch {
      return context.skip('no right to mount a file system here');
    }
    try {
      const store = new Store(small);
      const file = await incoming(store, tar);
      writeFileSync(join(small, 'ballast'), '');
      for (let i = 0; ; i++) {
        try {
          writeFileSync(join(small, `ballast-${i}`), '');
        } catch {
          break;
        }
      }
      const error = await store.add(file, { ref: pinned, origin: 'here', trusted: false }).catch((reason) => reason);
      expect(error).toMatchObject({ code: 'STORE_DISK_FULL', exit: 3 });
      expect(error.hint).toContain('--store');
      expect(files(store).filter((name) => !name.startsWith('ballast'))).toEqual([]);
    } finally {
      execFileSync('umount', [small]);
    }
  });
});

describe('a commit', () => {
  const repo = makeRepo(join(folder, 'repo'));
  const commit = repo.commit({ 'a/file': 'text', 'run.sh': { run: '#!/bin/sh\n' } });
  const commitObject = execFileSync('git', ['-C', repo.path, 'cat-file', 'commit', commit]);
  const archive = (top: string) =>
    execFileSync('git', ['-C', repo.path, 'archive', '--format=tar', `--prefix=${top}/`, commit], { maxBuffer: 2 ** 24 });
  const ref = makeRef({ pins: { commit } });

  test('proves the tarball of its tree', async () => {
    const store = newStore();
    const added = await store.add(await incoming(store, archive('t')), { ref, origin: 'git', commitObject, trusted: false });
    expect(added.proof).toBe('commit');
    expect(await store.find(ref, false)).toEqual(added);
    await store.check(added);
  });

  test('does not prove a tarball of another tree', async () => {
    const store = newStore();
    await expect(store.add(await incoming(store, tar), { ref, origin: 'git', commitObject, trusted: false })).rejects.toMatchObject({
      code: 'SOURCE_MISMATCH',
      expected: `tree ${treeOfCommit(commitObject)}`,
    });
    expect(files(store)).toEqual([]);
  });

  test('that is another one is refused, however well it fits its own tarball', async () => {
    const store = newStore();
    const other = makeRef({ pins: { commit: objectId('commit', Buffer.from('tree x')) } });
    await expect(
      store.add(await incoming(store, archive('t')), { ref: other, origin: 'git', commitObject, trusted: false }),
    ).rejects.toMatchObject({ code: 'SOURCE_MISMATCH', got: `git commit ${commit}` });
  });

  test('must give the bytes of its first fetch ever after', async () => {
    const store = newStore();
    const first = await store.add(await incoming(store, archive('t')), { ref, origin: 'git', commitObject, trusted: false });
    await expect(
      store.add(await incoming(store, archive('other-top')), { ref, origin: 'git', commitObject, trusted: false }),
    ).rejects.toMatchObject({ code: 'SOURCE_MISMATCH', expected: `sha256 ${first.record.sha256}` });
    const again = await store.add(await incoming(store, archive('t')), { ref, origin: 'git', commitObject, trusted: false });
    expect(again.record.sha256).toBe(first.record.sha256);
    expect(await store.list()).toHaveLength(1);
  });
});
