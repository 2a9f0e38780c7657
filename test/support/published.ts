import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cellFolder } from '../../src/build/artifacts.ts';
import type { Metadata } from '../../src/build/metadata.ts';
import { attestCell } from '../../src/publish/attest.ts';
import { FolderTarget } from '../../src/publish/folder-target.ts';
import type { SigningKey } from '../../src/publish/key.ts';
import { type Prepared, preparedImages } from '../../src/publish/prepare.ts';
import type { Wishes } from '../../src/publish/publication.ts';
import { type Published, type PublishInput, publish } from '../../src/publish/publish.ts';
import { placeAt } from '../../src/pull/place.ts';
import { sha256 } from '../../src/util/hash.ts';
import { builtCellOf } from './built.ts';
import { notesImage, packed } from './images.ts';
import { realPlanData } from './plan-data.ts';

/** What an image shall look like. */
export interface Looks {
  /** Makes another image. */
  size?: number;
  /** Sources that nothing proves are in it, as in the cells of builtCellOf. */
  unpinned?: boolean;
  boot?: boolean;
  reproduced?: boolean;
}

const boot = { ok: true, hypervisor: 'Xen 4.17.5', log: 'boot.log', cases: [{ name: 'disk', what: 'a disk', ok: true, said: 'menu' }] };
const reproduced = { ok: true, when: '2026-11-25T11:00:00.000Z', engine: 'docker 20.10', variations: ['clock', 'path'] };

/** Write a cell's results as a build, a boot and a reproduction would have left them, attested. */
export async function makeArtifacts(output: string, id: string, key: SigningKey, looks: Looks = {}): Promise<Metadata> {
  const { size = 200_000, unpinned = false } = looks;
  const built = builtCellOf(id, unpinned ? ['grub'] : []);
  const image = packed(notesImage({ size }));
  const metadata: Metadata = {
    ...built.metadata,
    image: {
      file: built.cell.recipe.outputs.find(({ role }) => role === 'image')?.file as string,
      size: image.length,
      sha256: sha256(image),
    },
    ...(looks.boot === false ? {} : { boot: boot as unknown as NonNullable<Metadata['boot']> }),
    ...(looks.reproduced === false ? {} : { reproduced }),
  };
  delete metadata.debug;
  const folder = cellFolder(output, metadata);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, metadata.image.file), image);
  writeFileSync(join(folder, 'metadata.json'), `${JSON.stringify(metadata, null, 2)}\n`);
  writeFileSync(join(folder, 'build.log'), `the log of ${id}\n`);
  await attestCell(built.cell, { output, catalog: realPlanData().catalog, key, archiveOf: async () => undefined });
  return metadata;
}

/** Nothing but what is there. */
export const noWishes: Wishes = { days: 365, revoke: [], withdraw: [], prune: false, renew: false };

/** Publish results into a folder. */
export async function publishTo(
  folder: string,
  from: string,
  key: SigningKey,
  more: Partial<Omit<PublishInput, 'wishes'>> & { wishes?: Partial<Wishes>; ids?: string[] } = {},
): Promise<Published> {
  const { ids, wishes, ...rest } = more;
  const prepared: Prepared[] = await preparedImages(from, (all) => ids ?? all, key);
  return publish({
    target: new FolderTarget(folder),
    place: await placeAt(folder, true),
    prepared,
    key,
    allowUnproven: false,
    now: new Date(),
    ...rest,
    wishes: { ...noWishes, ...wishes },
  });
}

/** The index of a publication, as it is written. */
export const indexOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as Published['index'];
