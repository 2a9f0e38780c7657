import { resolve } from 'node:path';
import { ReproduceError, SourceError } from '../errors.ts';
import { inputHash } from '../plan/input-hash.ts';
import type { Cell } from '../plan/plan.ts';
import { builtCell } from '../publish/attest.ts';
import type { Statement } from '../publish/dsse.ts';
import { provenance } from '../publish/provenance.ts';
import { readProvenance } from '../publish/read-provenance.ts';
import type { SourceRecord } from '../sources/store.ts';
import { Store } from '../sources/store.ts';
import { exportSources, type ImageEntry } from '../sources/transfer.ts';
import { type ImageCommand, imageArchives } from './attest.ts';
import { type CommonOptions, planned, print } from './context.ts';

/** The corresponding source of images: what they are made of, whole, in one archive. */

/** `pvgrub sources export --for` */
export async function exportFor(file: string, selectors: readonly string[], options: CommonOptions & ImageCommand): Promise<void> {
  const { settings, cells } = await planned(selectors, options, 'all');
  const store = new Store(settings.store);
  const archives = imageArchives(settings, options);
  const there = await store.list();
  const records = new Map<string, SourceRecord>();
  const images: ImageEntry[] = [];
  for (const cell of cells) {
    const metadata = await builtCell(cell, settings.output);
    const archive = await archives.of(metadata.buildImage.digest);
    if (!archive)
      throw new ReproduceError('ENVIRONMENT_DIFFERS', `the build image of ${cell.id} is neither in the store nor on the engine`, {
        expected: `the image with the manifest ${metadata.buildImage.digest}`,
        hint: `pvgrub build ${cell.id} with the present build image, and export that`,
      });
    for (const { name, version, sha256 } of metadata.sources) {
      const record = there.find((one) => one.name === name && one.version === version && one.sha256 === sha256);
      if (!record)
        throw new SourceError('SOURCE_UNAVAILABLE', `${name} ${version}, which ${cell.id} was built from, is not in the store`, {
          expected: sha256,
          hint: `pvgrub sources fetch ${cell.id}, from the origin that it was built from`,
        });
      records.set(sha256, record);
    }
    records.set(archive.record.sha256, archive.record);
    images.push({
      id: cell.id,
      text: `${JSON.stringify(provenance({ metadata, recipe: cell.recipe, archive: archive.record, files: {} }), null, 2)}\n`,
    });
  }
  const sorted = [...records.values()].sort((a, b) => (`${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1));
  for (const record of sorted) await store.check({ record, path: store.path(record.sha256), proof: undefined });
  await exportSources(sorted, store, resolve(file), images);
  print(`${sorted.length} sources, the build image among them, and the recipes of ${cells.length} images in ${file}`);
}

/** Tell of each image of an archive whether `build --offline` makes it: whether this product builds it from the same inputs. */
export function tellImages(images: readonly ImageEntry[], cells: readonly Cell[]): void {
  for (const { id, text } of images) {
    const told = readProvenance(JSON.parse(text) as Statement, `what the archive says of ${id}`);
    const cell = cells.find((one) => one.id === id);
    const unproved = told.sources.filter(({ proof }) => proof === null);
    const bytes = Object.fromEntries(unproved.map(({ name, sha256 }) => [name, sha256]));
    const same = cell && inputHash(cell.recipe, told.buildImage.manifest, bytes) === told.inputHash;
    const trust = unproved.map(({ name }) => ` --trust ${name}`).join('');
    print(
      same
        ? `${id}: made again with pvgrub build --offline ${id}${trust}`
        : `${id}: this version of pvgrub-forge has another recipe; pvgrub reproduce --from its provenance makes it`,
    );
  }
}
