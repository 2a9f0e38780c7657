import { sha256 } from '../util/hash.ts';
import type { Engine } from './engine.ts';
import { ensureImage, type ImageOptions, wantedBase } from './image.ts';
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
 * The build image: the one that is there for this Dockerfile and choice of base, else built through the API.
 * Its packages are read out of it and remembered, so that `matrix` knows the manifest without an engine.
 * @throws EngineError IMAGE_BUILD_FAILED, BASE_UNAVAILABLE, ENGINE_LOST
 */
export async function ensureBuildImage(engine: Engine, options: ImageOptions): Promise<BuildImage> {
  const dockerfile = await buildDockerfile();
  const image = await ensureImage(engine, { name: 'build image', dockerfile, identity: '', files: async () => [] }, options);
  const packages = await readPackages(engine, image.id, options.labels, options.signal);
  const manifest: Manifest = { dockerfile: sha256(dockerfile), packages, base: image.base };
  await rememberManifest(wantedBase(options.settings), manifest);
  options.say(`build image ${image.id.replace(/^sha256:/, '').slice(0, 12)} with ${packages.length} packages (${image.base})`);
  return { id: image.id, manifest, digest: manifestDigest(manifest) };
}
