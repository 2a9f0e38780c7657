import { expect, test } from 'vitest';
import { type MetadataInput, metadataOf } from '../../src/build/metadata.ts';
import { inspectImage } from '../../src/inspect/inspect.ts';
import { planMatrix } from '../../src/plan/plan.ts';
import { editDigest } from '../../src/recipes/edits.ts';
import { objectId } from '../../src/sources/git-tree.ts';
import type { StoredSource } from '../../src/sources/store.ts';
import { notesImage } from '../support/images.ts';
import { realPlanData } from '../support/plan-data.ts';

const loaders = { pvgrub2: { versions: ['2.12'], arches: ['x86_64' as const] } };
const [cell] = planMatrix({ loaders, include: [], exclude: [] }, realPlanData());
if (!cell) throw new Error('no cell');

const stored: StoredSource = {
  record: {
    schema: 1,
    name: 'grub2',
    version: '2.12',
    file: 'grub-2.12.tar.xz',
    sha256: 'aa',
    sha512: 'bb',
    size: 5,
    format: 'xz',
    top: 'grub-2.12',
    origin: 'debian sid grub2 2.12 grub2_2.12.orig.tar.xz',
  },
  path: '/home/somebody/store/sha256/aa',
  proof: 'sha256',
};
const image = notesImage({ os: 'GRUB' });
const inspection = inspectImage(image);
const input: MetadataInput = {
  cell,
  inputHash: 'hash',
  sources: new Map([['grub2', stored]]),
  manifest: { dockerfile: 'd', packages: ['gcc:amd64=1'], base: 'debian' },
  inspection,
  image: { file: 'grub-x86_64-xen.bin', size: inspection.size, sha256: inspection.sha256 },
  debug: undefined,
  build: { engine: 'Docker 29', cores: 2, started: '2026-01-02T03:04:05Z', seconds: 1.5 },
};

test('metadata names the cell, its image, what it was made from and how', () => {
  const metadata = metadataOf(input);
  expect(metadata).toMatchObject({
    schema: 1,
    id: 'pvgrub2-2.12-x86_64',
    loader: 'pvgrub2',
    version: '2.12',
    arch: 'x86_64',
    inputHash: 'hash',
    image: { sha256: inspection.sha256 },
    unpinned: [],
    sources: [{ name: 'grub2', version: '2.12', sha256: 'aa', origin: stored.record.origin, proof: 'sha256' }],
    buildImage: { dockerfile: 'd', packages: ['gcc:amd64=1'] },
    inspection: { summary: "GRUB 2's Xen port, 64-bit x86_64" },
    build: { engine: 'Docker 29', cores: 2 },
  });
  expect(metadata.edits).toEqual(cell.recipe.edits.map((edit) => ({ id: edit.id, digest: editDigest(edit), what: edit.what })));
  expect(metadata.commands).toEqual(cell.recipe.steps.map((step) => step.run));
});

test('metadata of an older release carries its warning', () => {
  expect(metadataOf(input).warnings.join()).toContain('security');
});

test('a source that nothing proves is named, and stands first among the warnings', () => {
  const metadata = metadataOf({ ...input, sources: new Map([['grub2', { ...stored, proof: undefined }]]) });
  expect(metadata.unpinned).toEqual(['grub2']);
  expect(metadata.sources[0]?.proof).toBeNull();
  expect(metadata.warnings[0]).toContain('grub2');
  expect(metadata.warnings.length).toBe(cell.recipe.warnings.length + 1);
});

test('a source made from git tells its commit, others have no such member', () => {
  const commit = Buffer.from('tree 0\n\nwords\n');
  const made = { ...stored, record: { ...stored.record, commitObject: commit.toString('base64') } };
  expect(metadataOf({ ...input, sources: new Map([['grub2', made]]) }).sources[0]).toMatchObject({ commit: objectId('commit', commit) });
  expect(metadataOf(input).sources[0]).not.toHaveProperty('commit');
});

test('debug information is told where there is some', () => {
  expect(metadataOf(input)).not.toHaveProperty('debug');
  const debug = { file: 'grub.debug', size: 1, sha256: 'dd' };
  expect(metadataOf({ ...input, debug }).debug).toEqual(debug);
});

test('metadata survives JSON unchanged and names no folder of the machine', () => {
  const metadata = metadataOf(input);
  const text = JSON.stringify(metadata);
  expect(JSON.parse(text)).toEqual(metadata);
  expect(text).not.toContain('/home/somebody');
});
