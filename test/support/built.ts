import { type Metadata, metadataOf, unpinnedOf } from '../../src/build/metadata.ts';
import { type Manifest, manifestDigest } from '../../src/engine/manifest.ts';
import { inspectImage } from '../../src/inspect/inspect.ts';
import { inputHash } from '../../src/plan/input-hash.ts';
import { type Cell, planMatrix } from '../../src/plan/plan.ts';
import type { StoredSource } from '../../src/sources/store.ts';
import { sha256 } from '../../src/util/hash.ts';
import { notesImage, packed } from './images.ts';
import { realPlanData } from './plan-data.ts';

/** A real cell with an image that might have come of it, and its metadata. `unproved`: sources that nothing proves. */
export function builtCellOf(
  id = 'pv-grub-4.17.5-x86_64',
  unproved = ['grub'],
): { cell: Cell; metadata: Metadata; image: Buffer; manifest: Manifest } {
  const loaders = { 'pv-grub': { versions: ['*'] }, pvgrub2: { versions: ['*'] } };
  const cell = planMatrix({ loaders, include: [], exclude: [] }, realPlanData()).find((one) => one.id === id) as Cell;
  const sources = new Map<string, StoredSource>(
    cell.recipe.sources.map(({ name, version, file, top }) => [
      name,
      {
        record: { schema: 1, name, version, file, top, sha256: sha256(name), sha512: '', size: 1, format: 'tar', origin: 'a mirror' },
        path: '',
        proof: unproved.includes(name) ? undefined : 'sha256',
      },
    ]),
  );
  const packages = ['gcc:amd64=4:12.2.0-3', 'libc6-dev-i386:amd64=2.36-9', 'libfoo:i386=1.0~rc1', 'adduser:all=3.134'];
  const manifest: Manifest = { dockerfile: sha256('Dockerfile'), packages, base: 'made with mmdebstrap bookworm' };
  const image = packed(notesImage());
  const inspection = inspectImage(image);
  const unpinned = unpinnedOf(sources);
  const metadata = metadataOf({
    cell,
    inputHash: inputHash(cell.recipe, manifestDigest(manifest), unpinned),
    sources,
    manifest,
    inspection,
    image: { file: 'pv-grub-x86_64.gz', size: image.length, sha256: sha256(image) },
    debug: { file: 'pv-grub-x86_64.debug', size: 5, sha256: sha256('debug') },
    build: {
      engine: 'docker 20.10',
      cores: 2,
      started: '2026-11-25T10:00:00.000Z',
      seconds: 30.5,
      limits: { timeMs: 5400_000, memory: 4 * 2 ** 30, pids: 4096 },
    },
  });
  return { cell, metadata, image, manifest };
}
