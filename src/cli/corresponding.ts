import { resolve } from 'node:path';
import { unprovedOf } from '../build/metadata.ts';
import { errorText, InterruptedError, ReproduceError, SourceError, VerifyError } from '../errors.ts';
import { inputHash } from '../plan/input-hash.ts';
import type { Cell } from '../plan/plan.ts';
import { builtCell } from '../publish/attest.ts';
import type { Statement } from '../publish/dsse.ts';
import { provenance } from '../publish/provenance.ts';
import { readProvenance, type Told } from '../publish/read-provenance.ts';
import type { SourceRecord } from '../sources/store.ts';
import { Store } from '../sources/store.ts';
import { exportSources, type ImageEntry } from '../sources/transfer.ts';
import { type ImageCommand, imageArchives } from './attest.ts';
import { type CommonOptions, planned, print } from './context.ts';
import { interruptSignal } from './interrupt.ts';

/** The corresponding source of images: what they are made of, whole, in one archive. */

/** `pvgrub sources export --for` */
export async function exportFor(file: string, selectors: readonly string[], options: CommonOptions & ImageCommand): Promise<void> {
  const { settings, cells } = await planned(selectors, options, 'all');
  const store = new Store(settings.store);
  const archives = imageArchives(settings, options);
  const signal = interruptSignal((text) => process.stderr.write(`${text}\n`));
  const there = await store.list();
  const records = new Map<string, SourceRecord>();
  const images: ImageEntry[] = [];
  for (const cell of cells) {
    if (signal.aborted) throw new InterruptedError();
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
      records.set(keyOf(record), record);
    }
    records.set(keyOf(archive.record), archive.record);
    images.push({
      id: cell.id,
      text: `${JSON.stringify(provenance({ metadata, recipe: cell.recipe, archive: archive.record, files: {} }), null, 2)}\n`,
    });
  }
  const sorted = [...records.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  for (const record of sorted) {
    if (signal.aborted) throw new InterruptedError();
    await store.check({ record, path: store.path(record.sha256), proof: undefined });
  }
  await exportSources(sorted, store, resolve(file), { images, signal }).catch((error: unknown) => {
    throw signal.aborted ? new InterruptedError() : error;
  });
  print(`${sorted.length} sources, the build image among them, and the recipes of ${cells.length} images in ${file}`);
}

/** Two sources may have the same bytes. */
function keyOf({ name, version, sha256 }: SourceRecord): string {
  return `${name}@${version}.${sha256}`;
}

/** Tell of each image of an archive whether `build --offline` makes it: whether this product builds it from the same inputs. */
export function tellImages(images: readonly ImageEntry[], cells: readonly Cell[]): void {
  for (const { id, text } of images) {
    const told = toldOf(id, text);
    if (!told) continue;
    const cell = cells.find((one) => one.id === id);
    const unproved = unprovedOf(told.sources);
    const same = cell && inputHash(cell.recipe, told.buildImage.manifest, unproved) === told.inputHash;
    const trust = Object.keys(unproved)
      .map((name) => ` --trust ${name}`)
      .join('');
    print(
      same
        ? `${id}: made again with pvgrub build --offline ${id}${trust}`
        : `${id}: this version of pvgrub-forge has another recipe; take the version that made it, or reproduce --from the .intoto.jsonl that was published beside it`,
    );
  }
}

/** What an archive says of an image; undefined, and told, where that is nothing to be read here. */
function toldOf(id: string, text: string): Told | undefined {
  const where = `what the archive says of ${id}`;
  try {
    return readProvenance(JSON.parse(text) as Statement, where);
  } catch (error) {
    if (!(error instanceof VerifyError || error instanceof SyntaxError)) throw error;
    process.stderr.write(`pvgrub: ${error instanceof SyntaxError ? `${where} is not JSON` : errorText(error)}\n`);
    return undefined;
  }
}
