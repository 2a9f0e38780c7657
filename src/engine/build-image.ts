import { stat } from 'node:fs/promises';
import { EngineError, ReproduceError, SourceError } from '../errors.ts';
import { type SourceRecord, Store } from '../sources/store.ts';
import { sha256 } from '../util/hash.ts';
import type { Engine } from './engine.ts';
import { BASE_LABEL, ensureImage, type ImageOptions, LABEL, wantedBase } from './image.ts';
import { archivedImages, importImage, readImageArchive } from './image-archive.ts';
import { buildDockerfile, type Manifest, manifestDigest, rememberManifest } from './manifest.ts';
import { readPackages } from './read-packages.ts';

/** A build image that is on the engine. */
export interface BuildImage {
  /** The image's id on this engine. */
  id: string;
  manifest: Manifest;
  digest: string;
  /** SHA-256 of the archive that it was made from, if it was. */
  archive: string | undefined;
}

/** As the base: the build image that the store has, and no other. */
export const STORE_BASE = 'store';

/** How the label of an image's base tells the archive that it was made from. */
const FROM_ARCHIVE = /; from the archive ([0-9a-f]{64})$/;

/**
 * The build image: the one that is there for this Dockerfile and choice of base, else built through the API; offline, else
 * the newest one of this Dockerfile that the store has, and with the base "store" that in any case.
 * Its packages are read out of it and remembered, so that `matrix` knows the manifest without an engine.
 * @throws EngineError IMAGE_BUILD_FAILED, BASE_UNAVAILABLE, ENGINE_LOST
 */
export async function ensureBuildImage(engine: Engine, options: ImageOptions): Promise<BuildImage> {
  const dockerfile = await buildDockerfile();
  const offline = () => newestArchived(engine, sha256(dockerfile), options);
  const image =
    options.settings.image.base === STORE_BASE
      ? await offline()
      : await ensureImage(engine, { name: 'build image', dockerfile, identity: '', files: async () => [], offline }, options);
  if (!image)
    throw new EngineError('BASE_UNAVAILABLE', 'the store has no build image of this Dockerfile', {
      hint: 'pvgrub sources import the archive that `sources export --build-image` wrote elsewhere, with --trust build-image',
    });
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
  { labels, signal }: Pick<ImageOptions, 'labels' | 'signal'>,
): Promise<BuildImage> {
  const manifest: Manifest = { dockerfile: of.dockerfile, packages: await readPackages(engine, id, labels, signal), base: of.base };
  return { id, manifest, digest: manifestDigest(manifest), archive: FROM_ARCHIVE.exec(of.base)?.[1] };
}

/** The same; undefined for an image in which packages cannot even be listed: it is no build image. */
async function describedIfAny(...args: Parameters<typeof described>): Promise<BuildImage | undefined> {
  return described(...args).catch((error: unknown) => {
    if (error instanceof EngineError && error.code !== 'ENGINE_LOST') return undefined;
    throw error;
  });
}

/** The build image of the newest archive of a Dockerfile in the store; those that cannot be used are told, and passed over. */
async function newestArchived(
  engine: Engine,
  dockerfile: string,
  options: ImageOptions,
): Promise<{ id: string; base: string } | undefined> {
  const store = new Store(options.settings.store);
  const records = await archivedImages(store);
  const aged = await Promise.all(records.map(async (record) => ({ record, time: (await stat(store.path(record.sha256))).mtimeMs })));
  for (const { record } of aged.sort((a, b) => b.time - a.time)) {
    try {
      if ((await readImageArchive(store.path(record.sha256))).manifest.dockerfile !== dockerfile) continue;
      const right =
        (await presentBuildImage(engine, record.version, options)).right ?? (await restoreBuildImage(engine, record, options)).right;
      if (right) return { id: right.id, base: right.manifest.base };
      options.say(`the archive ${record.sha256.slice(0, 12)} is not the build image that it says it is: passed over`);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      options.say(`passed over: ${error.message}`);
    }
  }
  return undefined;
}

/**
 * Of the build images on an engine, one whose manifest has a digest, made from this archive if there is such a one; nothing
 * is made. `seen`: others.
 */
export async function presentBuildImage(
  engine: Engine,
  digest: string,
  options: Pick<ImageOptions, 'labels' | 'signal'>,
  archive?: string,
): Promise<{ right?: BuildImage; seen: BuildImage[] }> {
  const seen: BuildImage[] = [];
  const images = (await engine.docker.listImages({ filters: { reference: ['pvgrub-forge-build'] } })).map(({ Id, Labels }) => {
    const base = Labels?.[BASE_LABEL] ?? 'unknown base';
    const preferred = archive !== undefined && FROM_ARCHIVE.exec(base)?.[1] === archive;
    return { Id, of: { dockerfile: Labels?.[LABEL] ?? '', base }, preferred };
  });
  for (const { Id, of } of images.sort((a, b) => Number(b.preferred) - Number(a.preferred))) {
    const image = await describedIfAny(engine, Id, of, options);
    if (image?.digest === digest) return { right: image, seen };
    if (image) seen.push(image);
  }
  return { seen };
}

/**
 * Make the image of an archive in the store, whose bytes are read again first.
 * @returns `right`: the image, if it has just the packages that the archive's name stands for. Else it gets no name and is
 *   removed again; `wrong` tells what it was, if packages could be listed in it at all
 */
export async function restoreBuildImage(
  engine: Engine,
  record: SourceRecord,
  options: ImageOptions,
): Promise<{ right?: BuildImage; wrong?: BuildImage | undefined }> {
  const store = new Store(options.settings.store);
  const path = store.path(record.sha256);
  await store.check({ record, path, proof: undefined });
  options.say(`taking the build image from its archive ${record.sha256.slice(0, 12)}`);
  const base = (was: string) => `${was.replace(FROM_ARCHIVE, '')}; from the archive ${record.sha256}`;
  const { id, manifest } = await importImage(engine, path, ({ manifest }) => ({
    [LABEL]: manifest.dockerfile,
    [BASE_LABEL]: base(manifest.base),
  }));
  const imported = engine.docker.getImage(id);
  let right: BuildImage | undefined;
  try {
    const image = await describedIfAny(engine, id, { ...manifest, base: base(manifest.base) }, options);
    if (image?.digest !== record.version) return { wrong: image };
    // By what it is: nobody who asks for some base shall get it for that.
    await imported.tag({ repo: 'pvgrub-forge-build', tag: record.sha256.slice(0, 16) });
    right = image;
    return { right };
  } finally {
    if (!right) await imported.remove({ force: true });
  }
}

/**
 * The build image with just these packages: that of the archive which is asked for, on the engine or in the store; else one
 * that the engine has, else that of another archive.
 * @param packages those of the image that is looked for, to tell what differs
 * @param archive SHA-256 of the archive to prefer
 * @throws ReproduceError ENVIRONMENT_DIFFERS where there is none; EngineError, SourceError as the parts
 */
export async function buildImageWith(
  engine: Engine,
  digest: string,
  packages: readonly string[],
  options: ImageOptions,
  archive?: string,
): Promise<BuildImage> {
  const { right, seen } = await presentBuildImage(engine, digest, options, archive);
  if (right && (archive === undefined || right.archive === archive)) return right;
  const records = (await archivedImages(new Store(options.settings.store))).filter(({ version }) => version === digest);
  const named = records.filter(({ sha256 }) => sha256 === archive);
  const others = right ? [] : records.filter(({ sha256 }) => sha256 !== archive);
  for (const record of [...named, ...others]) {
    const made = await restoreBuildImage(engine, record, options);
    if (made.right) return made.right;
    if (made.wrong) seen.unshift(made.wrong);
  }
  if (right) return right;
  const [nearest] = seen;
  throw new ReproduceError('ENVIRONMENT_DIFFERS', 'the build image cannot be made the same', {
    expected: `the build image with the manifest ${digest}`,
    got: nearest ? packagesDiffer(packages, nearest.manifest.packages) : 'none on the engine, and no archive of it in the store',
    hint: 'pvgrub sources import the archive that `sources export --for` wrote for this image, with --trust build-image',
  });
}

/**
 * The same build image on another engine: the one that it has, else that of an archive in the store, else one that is made
 * there and turns out to have the same packages. What is remembered of the last build image stays.
 * @throws ReproduceError ENVIRONMENT_DIFFERS where it cannot be made the same; EngineError, SourceError as the parts
 */
export async function sameBuildImage(engine: Engine, image: BuildImage, options: ImageOptions): Promise<BuildImage> {
  try {
    return await buildImageWith(engine, image.digest, image.manifest.packages, options);
  } catch (error) {
    if (!(error instanceof ReproduceError) || options.settings.offline) throw error;
  }
  const made = await ensureBuildImage(engine, options);
  await rememberManifest(wantedBase(options.settings), image.manifest);
  if (made.digest === image.digest) return made;
  throw new ReproduceError('ENVIRONMENT_DIFFERS', 'the build image of the other engine has other packages', {
    expected: image.digest,
    got: packagesDiffer(image.manifest.packages, made.manifest.packages),
    hint: 'pvgrub attest puts the archive of the build image into the store, from where the other engine can have it',
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
