import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { stagingFolder, sweepWork } from '../build/artifacts.ts';
import { buildCell } from '../build/cell.ts';
import { ROOM_FOR_MEMORY } from '../build/farm.ts';
import type { Settings } from '../config/settings.ts';
import { type BuildImage, buildImageWith } from '../engine/build-image.ts';
import type { Engine } from '../engine/engine.ts';
import { ownerLabels, sweep, thisOwner } from '../engine/labels.ts';
import { Shelf } from '../engine/shelf.ts';
import { ReproduceError, SourceError, VerifyError } from '../errors.ts';
import type { Told } from '../publish/read-provenance.ts';
import type { Listener } from '../report/events.ts';
import { provedBy } from '../sources/pins.ts';
import { identityOf, Store, type StoredSource } from '../sources/store.ts';
import { sha256 } from '../util/hash.ts';

/** What came out of building again. */
export interface Rebuilt {
  bytes: Buffer;
  /** The build image that it was built in. */
  buildImage: BuildImage;
}

/** What rebuilding needs of its surroundings. */
export interface RebuildContext {
  engine: Engine;
  settings: Settings;
  signal: AbortSignal;
  emit: Listener;
}

/**
 * Build an image again from its provenance alone, with no network: sources and build image are those that it names by
 * digest, recipe and edits its own, not this product's.
 *
 * @returns the image that came out; {@link differenceOf} tells whether it is the published one
 * @throws SourceError SOURCE_UNAVAILABLE where the store has not the very bytes, STORE_CORRUPT;
 *   ReproduceError ENVIRONMENT_DIFFERS where the build image cannot be had; as buildCell
 */
export async function rebuild(told: Told, { engine, settings, signal, emit }: RebuildContext): Promise<Rebuilt> {
  const { cell } = told;
  const say = (text: string) => emit({ type: 'note', text });
  const warn = (text: string) => emit({ type: 'warning', text });
  const labels = ownerLabels(thisOwner(randomBytes(8).toString('hex')));
  const sources = await exactSources(told, new Store(settings.store), warn);
  await sweep(engine);
  await sweepWork(settings.output);
  const image = await buildImageWith(
    engine,
    told.buildImage.manifest,
    told.buildImage.packages,
    {
      settings: { ...settings, offline: true },
      labels,
      signal,
      say,
    },
    told.buildImage.archive,
  );
  const { manifest, archive } = image;
  say(
    `build image ${image.digest.slice(0, 12)} with ${manifest.packages.length} packages, as the provenance has it` +
      (sameArchive(told, image)
        ? ', from the very archive'
        : archive
          ? `, from the archive ${archive.slice(0, 12)}`
          : ', made on this engine'),
  );
  const shelf = new Shelf(engine, image.id, labels, warn);
  const staging = await stagingFolder(settings.output, cell.id);
  /** Keep a file for whoever looks for the reason; not being able to is no answer of its own. */
  const keep = async (file: string, as: string) => {
    const folder = join(settings.output, 'failed');
    await mkdir(folder, { recursive: true })
      .then(() => rename(join(staging, file), join(folder, as)))
      .then(
        () => say(`kept: ${join(folder, as)}`),
        () => {},
      );
  };
  try {
    await buildCell(cell, sources, staging, {
      engine,
      image,
      labels,
      limits: settings.limits,
      jobs: settings.cores,
      shelf,
      inMemory: engine.memory >= ROOM_FOR_MEMORY,
      signal,
      onPhase: (phase) => emit({ type: 'cell-phase', cell: cell.id, phase }),
      warn,
    });
    const bytes = await readFile(join(staging, told.image.file));
    if (sha256(bytes) !== told.image.sha256) await keep(told.image.file, `${cell.id}.rebuilt-${told.image.file}`);
    return { bytes, buildImage: image };
  } catch (error) {
    await keep('build.log', `${cell.id}.rebuilt.log`);
    throw error;
  } finally {
    await shelf.remove();
    await rm(staging, { recursive: true, force: true });
  }
}

/** The very bytes that a provenance names, from the store, read again. */
async function exactSources(told: Told, store: Store, warn: (text: string) => void): Promise<Map<string, StoredSource>> {
  const records = await store.list();
  const found = new Map<string, StoredSource>();
  const missing: string[] = [];
  for (const { name, version, sha256: digest } of told.sources) {
    const record = records.find((one) => one.sha256 === digest && one.name === name && one.version === version);
    if (!record) {
      missing.push(`${name} ${version}, sha256 ${digest}`);
      continue;
    }
    const pins = told.cell.recipe.sources.find((source) => source.name === name)?.pins ?? {};
    const proof = provedBy(pins, identityOf(record));
    if (told.sources.some((source) => source.name === name && source.proof !== null) && proof === undefined)
      throw new VerifyError(
        'STATEMENT_INVALID',
        `the provenance says that ${name} ${version} is proved, and its own pins do not prove these bytes`,
        {
          expected: JSON.stringify(pins),
          got: `sha256 ${digest}`,
        },
      );
    if (proof === undefined) warn(`nothing proves ${name} ${version}: its maker trusted it, and so does this`);
    found.set(name, { record, path: store.path(digest), proof });
  }
  if (missing.length > 0)
    throw new SourceError('SOURCE_UNAVAILABLE', `the store has not all that ${told.cell.id} was built from`, {
      expected: missing.join('\n'),
      hint: 'pvgrub sources import the archive that `sources export --for` wrote for this image, or sources fetch from where its maker had them',
    });
  for (const source of found.values()) await store.check(source);
  return found;
}

/** Whether a build image was made from the archive that a provenance names. */
function sameArchive(told: Told, { archive }: BuildImage): boolean {
  return archive !== undefined && archive === told.buildImage.archive;
}

/**
 * The error NOT_REPRODUCIBLE where an image is not the published one.
 * @throws ReproduceError ENVIRONMENT_DIFFERS where it is not, and was not built in the image whose archive is named: the same
 *   packages are not yet the same files, so nothing is shown by it
 */
export function differenceOf(told: Told, { bytes, buildImage }: Rebuilt): ReproduceError | undefined {
  const got = sha256(bytes);
  if (got === told.image.sha256) return undefined;
  if (told.buildImage.archive !== undefined && !sameArchive(told, buildImage))
    throw new ReproduceError(
      'ENVIRONMENT_DIFFERS',
      `${told.cell.id}: another image came out of another build image with the same packages`,
      {
        expected: `${told.image.sha256}, in the build image of the archive ${told.buildImage.archive}`,
        got: `${got}, in ${buildImage.manifest.base}`,
        hint: 'pvgrub sources import the archive that `sources export --for` wrote for this image, with --trust build-image; then again',
      },
    );
  return new ReproduceError('NOT_REPRODUCIBLE', `${told.cell.id}: building it from its provenance gave another image`, {
    expected: told.image.sha256,
    got,
    hint: `compare the published image with failed/${told.cell.id}.rebuilt-${told.image.file} in the output folder, with diffoscope or pvgrub inspect`,
  });
}
