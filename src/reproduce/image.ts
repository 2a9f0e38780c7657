import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { productRoot } from '../catalog/load.ts';
import type { BuildImage } from '../engine/build-image.ts';
import type { Engine } from '../engine/engine.ts';
import { ensureImage, type ImageOptions } from '../engine/image.ts';
import { readPackages } from '../engine/read-packages.ts';
import { EngineError } from '../errors.ts';

/**
 * The reproduction image of a build image: the one that is there, else built through the engine (Dockerfile.reproduce).
 * @returns the image's id on this engine
 * @throws EngineError IMAGE_BUILD_FAILED, also where a package of the build image is another one in it; ENGINE_LOST
 */
export async function ensureReproduceImage(engine: Engine, image: BuildImage, options: ImageOptions): Promise<string> {
  const dockerfile = await readFile(join(productRoot, 'Dockerfile.reproduce'), 'utf8');
  const base = { reference: image.id, how: image.manifest.base };
  const made = await ensureImage(
    engine,
    { name: 'reproduction image', dockerfile, identity: image.digest, base, files: async () => [] },
    options,
  );
  const packages = new Set(await readPackages(engine, made.id, options.labels, options.signal));
  const missing = image.manifest.packages.filter((name) => !packages.has(name));
  if (missing.length > 0)
    throw new EngineError('IMAGE_BUILD_FAILED', 'the reproduction image has not the packages of the build image', {
      expected: missing.slice(0, 6).join(', '),
      hint: 'the mirror has newer ones: remove the build image, and build the cells again',
    });
  return made.id;
}
