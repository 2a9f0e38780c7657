import { writeFile } from 'node:fs/promises';
import { SourceError } from '../errors.ts';
import { INDEX } from '../publish/index-file.ts';
import type { Place, Transfer, Wanted } from './place.ts';
import { type Descriptor, Registry } from './registry.ts';

/** The tag of the artifact that has index, sums and page. */
export const INDEX_TAG = 'index';
/** The annotation that names the file of a layer (opencontainers/image-spec, annotations.md). */
export const TITLE = 'org.opencontainers.image.title';

/** A publication in an OCI registry: the tag `index` has what stands at the top, all else is had by its SHA-256. */
class OciPlace implements Place {
  readonly name: string;
  readonly remote = true;
  private readonly registry: Registry;
  private layers: Descriptor[] | undefined;

  constructor(registry: Registry) {
    this.registry = registry;
    this.name = `oci://${registry.host}/${registry.repository}`;
  }

  async read(
    path: string,
    limit: number,
    { sha256, signal }: { sha256?: string; signal?: AbortSignal | undefined } = {},
  ): Promise<Buffer | undefined> {
    if (sha256 !== undefined) return this.registry.blob(sha256, limit, signal);
    // What is read after an index belongs to that index, whatever somebody publishes meanwhile.
    if (path === INDEX || !this.layers) this.layers = (await this.registry.manifest(INDEX_TAG, signal))?.manifest.layers ?? [];
    const digest = this.layers.find(({ annotations }) => annotations?.[TITLE] === path)?.digest;
    const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest ?? '') ?? [];
    return hex === undefined ? undefined : this.registry.blob(hex, limit, signal);
  }

  async fetch({ sha256, size, path }: Wanted, to: string, { signal, onProgress }: Transfer): Promise<void> {
    const bytes = await this.registry.blob(sha256, size, signal);
    if (!bytes) throw new SourceError('DOWNLOAD_FAILED', `${this.name} has no ${path}`, { expected: `the blob sha256:${sha256}` });
    onProgress?.(bytes.length);
    await writeFile(to, bytes);
  }

  async list(): Promise<undefined> {
    return undefined;
  }
}

/** @throws UsageError OPTION_INVALID */
export function ociPlace(address: string): Place {
  return new OciPlace(new Registry(address));
}
