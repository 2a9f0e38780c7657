import { stat } from 'node:fs/promises';
import { EngineError, ReproduceError } from '../errors.ts';
import { type SourceRecord, Store } from '../sources/store.ts';
import { sha256 } from '../util/hash.ts';
import type { Engine } from './engine.ts';
import { BASE_LABEL, ensureImage, type ImageOptions, LABEL, wantedBase } from './image.ts';
import { archivedImage, BUILD_IMAGE, importImage, readImageArchive } from './image-archive.ts';
import { buildDockerfile, type Manifest, manifestDigest, rememberManifest } from './manifest.ts';
import { readPackages } from './read-packages.ts';

/** A build image that is on the engine. */
export interface BuildImage {
  /** The image's id on this engine. */
  id: string;
  manifest: Manifest;
  digest: string;
}

/**
 * The build image: the one that is there for this Dockerfile and choice of base, else built through the API; offline, else
 * the newest one of this Dockerfile that the store has.
 * Its packages are read out of it and remembered, so that `matrix` knows the manifest without an engine.
 * @throws EngineError IMAGE_BUILD_FAILED, BASE_UNAVAILABLE, ENGINE_LOST
 */
export async function ensureBuildImage(engine: Engine, options: ImageOptions): Promise<BuildImage> {
  const dockerfile = await buildDockerfile();
  const offline = async (tag: string) => {
    const archive = await newestArchive(new Store(options.settings.store), sha256(dockerfile));
    return archive !== undefined && (await restored(engine, archive, tag, options)).right !== undefined;
  };
  const image = await ensureImage(engine, { name: 'build image', dockerfile, identity: '', files: async () => [], offline }, options);
  const built = await described(engine, image.id, { dockerfile: sha256(dockerfile), base: image.base }, options);
  await rememberManifest(wantedBase(options.settings), built.manifest);
  const { packages } = built.manifest;
  options.say(`build image ${image.id.replace(/^sha256:/, '').slice(0, 12)} with ${packages.length} packages (${image.base})`);
  return built;
}

async function described(
  engine: Engine,
  id: string,
  of: Pick<Manifest, 'dockerfile' | 'base'>,
  { labels, signal }: ImageOptions,
): Promise<BuildImage> {
  const manifest: Manifest = { dockerfile: of.dockerfile, packages: await readPackages(engine, id, labels, signal), base: of.base };
  return { id, manifest, digest: manifestDigest(manifest) };
}

/** The same; undefined for an image in which packages cannot even be listed: it is no build image. */
async function describedIfAny(...args: Parameters<typeof described>): Promise<BuildImage | undefined> {
  return described(...args).catch((error: unknown) => {
    if (error instanceof EngineError && error.code !== 'ENGINE_LOST') return undefined;
    throw error;
  });
}

/** Of the archives in the store, the newest one of a Dockerfile. */
async function newestArchive(store: Store, dockerfile: string): Promise<SourceRecord | undefined> {
  const records = (await store.list()).filter(({ name }) => name === BUILD_IMAGE);
  const aged = await Promise.all(records.map(async (record) => ({ record, time: (await stat(store.path(record.sha256))).mtimeMs })));
  for (const { record } of aged.sort((a, b) => b.time - a.time))
    if ((await readImageArchive(store.path(record.sha256))).manifest.dockerfile === dockerfile) return record;
  return undefined;
}

/**
 * Make the image of an archive in the store, whose bytes are read again first.
 * @returns `right`: the image, if it has just the packages that the archive's name stands for. Else it gets no name and is
 *   removed again; `wrong` tells what it was, if packages could be listed in it at all
 */
async function restored(
  engine: Engine,
  record: SourceRecord,
  tag: string,
  options: ImageOptions,
): Promise<{ right?: BuildImage; wrong?: BuildImage | undefined }> {
  const store = new Store(options.settings.store);
  const path = store.path(record.sha256);
  await store.check({ record, path, proof: undefined });
  options.say(`taking the build image from its archive ${record.sha256.slice(0, 12)}`);
  const base = (was: string) => `${was.replace(/; from the archive .*$/, '')}; from the archive ${record.sha256}`;
  const { id, manifest } = await importImage(engine, path, ({ manifest }) => ({
    [LABEL]: manifest.dockerfile,
    [BASE_LABEL]: base(manifest.base),
  }));
  const imported = engine.docker.getImage(id);
  let right: BuildImage | undefined;
  try {
    const image = await describedIfAny(engine, id, { ...manifest, base: base(manifest.base) }, options);
    if (image?.digest !== record.version) return { wrong: image };
    const [repo = tag, name] = tag.split(':');
    await imported.tag({ repo, ...(name === undefined ? {} : { tag: name }) });
    right = image;
    return { right };
  } finally {
    if (!right) await imported.remove({ force: true });
  }
}

/**
 * The build image with just these packages: one that the engine has, else that of the archive in the store.
 * @param packages those of the image that is looked for, to tell what differs
 * @throws ReproduceError ENVIRONMENT_DIFFERS where there is none; EngineError, SourceError as the parts
 */
export async function buildImageWith(
  engine: Engine,
  digest: string,
  packages: readonly string[],
  options: ImageOptions,
): Promise<BuildImage> {
  const seen: BuildImage[] = [];
  for (const { Id, Labels } of await engine.docker.listImages({ filters: { reference: ['pvgrub-forge-build'] } })) {
    const of = { dockerfile: Labels?.[LABEL] ?? '', base: Labels?.[BASE_LABEL] ?? 'unknown base' };
    const image = await describedIfAny(engine, Id, of, options);
    if (image?.digest === digest) return image;
    if (image) seen.push(image);
  }
  const archive = await archivedImage(new Store(options.settings.store), digest);
  if (archive) {
    const { right, wrong } = await restored(engine, archive.record, `pvgrub-forge-build:${digest.slice(0, 16)}`, options);
    if (right) return right;
    if (wrong) seen.unshift(wrong);
  }
  const [nearest] = seen;
  throw new ReproduceError('ENVIRONMENT_DIFFERS', 'the build image cannot be made the same', {
    expected: `the build image with the manifest ${digest}`,
    got: nearest ? packagesDiffer(packages, nearest.manifest.packages) : 'none on the engine, and no archive of it in the store',
    hint: 'pvgrub sources import the archive that `sources export --for` wrote for this image, with --trust build-image',
  });
}

/** What two lists of packages do not have in common, as some lines. */
export function packagesDiffer(wanted: readonly string[], there: readonly string[]): string {
  const only = (mine: readonly string[], its: readonly string[]) => mine.filter((name) => !its.includes(name));
  const [missing, other] = [only(wanted, there), only(there, wanted)];
  if (missing.length + other.length === 0) return 'the same packages on another Dockerfile';
  const some = (list: string[]) => `${list.slice(0, 8).join(', ')}${list.length > 8 ? `, and ${list.length - 8} more` : ''}`;
  return [...(missing.length > 0 ? [`without ${some(missing)}`] : []), ...(other.length > 0 ? [`with ${some(other)}`] : [])].join('\n');
}
