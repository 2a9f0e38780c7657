import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { productRoot } from '../catalog/load.ts';
import { cacheFolder, type Settings } from '../config/settings.ts';
import { ifThere, writeFileAtomic } from '../util/files.ts';
import { canonicalJson, sha256 } from '../util/hash.ts';

/** What a build image is: the Dockerfile's digest and every package in it. */
export interface Manifest {
  /** SHA-256 of Dockerfile.build. */
  dockerfile: string;
  /** `package:arch=version`, sorted. */
  packages: string[];
  /** How its base image was got: for people, not part of the digest. */
  base: string;
}

/** SHA-256 over what can change a build: the Dockerfile and the packages. Part of the input hash. */
export function manifestDigest(manifest: Manifest): string {
  return sha256(canonicalJson({ dockerfile: manifest.dockerfile, packages: manifest.packages }));
}

/** The Dockerfile of the build image. */
export async function buildDockerfile(): Promise<string> {
  return readFile(join(productRoot, 'Dockerfile.build'), 'utf8');
}

function manifestFile(wanted: string): string {
  return join(cacheFolder(), 'manifests', `${sha256(wanted).slice(0, 16)}.json`);
}

/** Keep the manifest of the build image for commands that have no engine to ask. */
export async function rememberManifest(wanted: string, manifest: Manifest): Promise<void> {
  await mkdir(join(cacheFolder(), 'manifests'), { recursive: true });
  await writeFileAtomic(manifestFile(wanted), `${JSON.stringify(manifest, null, 1)}\n`);
}

/** The manifest of the build image that was used last with these settings, if it is of the present Dockerfile. */
export async function lastManifest(settings: Pick<Settings, 'image'>): Promise<Manifest | undefined> {
  const text = await ifThere(readFile(manifestFile(`${settings.image.base}/${settings.image.suite}`), 'utf8'));
  if (text === undefined) return undefined;
  try {
    const manifest = JSON.parse(text) as Manifest;
    return manifest.dockerfile === sha256(await buildDockerfile()) ? manifest : undefined;
  } catch (error) {
    // It is a cache: the next build writes it anew.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
