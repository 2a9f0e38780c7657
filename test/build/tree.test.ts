import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { treeInputs } from '../../src/build/tree.ts';
import type { Recipe } from '../../src/recipes/types.ts';
import { gitTarball } from '../../src/sources/origins/git.ts';
import { Store, type StoredSource } from '../../src/sources/store.ts';
import { makeRepo } from '../support/git-repo.ts';
import { put, tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();

test.each([
  ['the one that is pinned', 'main', undefined],
  ['another one', 'other', 'SOURCE_MISMATCH'],
])('a release tarball with Mini-OS in it, where that is %s', async (_what, content, code) => {
  const place = join(folder, content);
  const repo = makeRepo(join(place, 'mini-os'));
  const commit = repo.commit({ 'main.c': 'main' });
  const store = new Store(join(place, 'store'));
  const incoming = await store.incoming();
  const { commitObject } = await gitTarball(repo.path, commit, 'mini-os', join(incoming, 'm'), join(place, 'cache'));
  const miniOs = { name: 'mini-os', version: '1', file: 'mini-os.tar', top: 'mini-os', pins: { commit }, origins: [] };
  mkdirSync(join(place, 'xen-4.7.6/extras/mini-os'), { recursive: true });
  writeFileSync(join(place, 'xen-4.7.6/extras/mini-os/main.c'), content);
  execFileSync('tar', ['-czf', join(place, 'xen.tgz'), '-C', place, 'xen-4.7.6']);
  const bytes = readFileSync(join(place, 'xen.tgz'));
  const pins = { sha256: createHash('sha256').update(bytes).digest('hex') };
  const xen = { name: 'xen', version: '4.7.6', file: 'xen.tgz', top: 'xen-4.7.6', pins, origins: [] };
  const stored = new Map<string, StoredSource>([
    ['xen', await store.add(put(incoming, 'x', bytes), { ref: xen, origin: 'here', trusted: false })],
    ['mini-os', await store.add(join(incoming, 'm'), { ref: miniOs, origin: 'git', commitObject, trusted: false })],
  ]);
  const placements = [
    { source: 'xen', unpack: '.' },
    { source: 'mini-os', unpack: 'extras/mini-os' },
  ];
  const { shelf } = treeInputs({ sources: [xen, miniOs], placements, files: {} } as unknown as Recipe, stored);
  expect(shelf.map(({ name }) => name.replace(/-[0-9a-f]{64}$/, ''))).toEqual(['xen', 'mini-os']);
  const made = await shelf[0]?.make().catch((error) => error);
  if (code === undefined)
    expect(execFileSync('tar', ['-tf', made.path], { encoding: 'utf8' })).toContain('xen-4.7.6/extras/mini-os/main.c');
  else expect(made).toMatchObject({ code, exit: 3, message: expect.stringContaining('extras/mini-os') });
});
