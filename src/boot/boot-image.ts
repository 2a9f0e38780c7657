import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { productRoot } from '../catalog/load.ts';
import type { DebianFile, SourceRef } from '../catalog/types.ts';
import type { PutFile } from '../engine/archive.ts';
import type { Engine } from '../engine/engine.ts';
import { ensureImage, type ImageOptions } from '../engine/image.ts';
import { ensureSource, type FetchContext } from '../sources/fetch.ts';
import { canonicalFile } from '../sources/store.ts';
import { canonicalJson, sha256 } from '../util/hash.ts';

/** A boot image that is on the engine. */
export interface BootImage {
  /** The image's id on this engine. */
  id: string;
  /** SHA-256 over Dockerfile.boot, boot/ and the hypervisor's sources. */
  recipe: string;
}

/** The file in the image that lists packages, its own and its dom0's: `package:arch=version` in lines, sorted. */
export const PACKAGES = '/kit/packages';

/** SHA-256 over all that a boot image is made of. */
export function bootImageDigest({ recipe }: Pick<BootImage, 'recipe'>, packages: readonly string[]): string {
  return sha256(canonicalJson({ recipe, packages }));
}

/** The sources of the hypervisor, as catalog/boot.json has them. */
export async function hypervisorSource(root: string = productRoot): Promise<SourceRef> {
  const { xen } = JSON.parse(await readFile(join(root, 'catalog/boot.json'), 'utf8')) as {
    xen: { version: string; file: string; top: string; size: number; sha256: string; debian: DebianFile };
  };
  const { version, file, top, size, sha256: digest, debian } = xen;
  return { name: 'xen-hypervisor', version, file, top, size, pins: { sha256: digest }, origins: [{ type: 'debian', ...debian }] };
}

/** The files of boot/, as the image's context has them; sorted. */
async function contextFiles(root: string): Promise<PutFile[]> {
  const folder = join(root, 'boot');
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
  return Promise.all(names.map(async (name) => ({ name, content: await readFile(join(folder, name)) })));
}

/**
 * The boot image: the one that is there for these files and sources, else built through the engine (Dockerfile.boot).
 * @throws EngineError IMAGE_BUILD_FAILED, BASE_UNAVAILABLE, ENGINE_LOST; SourceError where the hypervisor's sources
 *   cannot be had
 */
export async function ensureBootImage(engine: Engine, fetch: FetchContext, options: ImageOptions): Promise<BootImage> {
  const dockerfile = await readFile(join(productRoot, 'Dockerfile.boot'), 'utf8');
  const files = await contextFiles(productRoot);
  const source = await hypervisorSource();
  const identity = sha256(
    canonicalJson({ files: files.map(({ name, content }) => [name, sha256(content as Uint8Array)]), xen: source.pins.sha256 }),
  );
  let made: { path: string; size: number } | undefined;
  const withSources = async () => {
    made = await canonicalFile(await ensureSource(source, fetch), source);
    return [...files, { name: 'xen.tar', content: made }];
  };
  try {
    const image = await ensureImage(engine, { name: 'boot image', dockerfile, identity, files: withSources }, options);
    return { id: image.id, recipe: sha256(canonicalJson({ dockerfile, identity })) };
  } finally {
    if (made) await rm(made.path, { force: true });
  }
}

/** The version of a package in the image; "unknown" where there is none. */
export function packageVersion(packages: readonly string[], name: RegExp): string {
  const entry = packages.find((text) => name.test(text));
  return entry?.slice(entry.indexOf('=') + 1) ?? 'unknown';
}
