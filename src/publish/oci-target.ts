import { OutputError, UsageError } from '../errors.ts';
import { INDEX_TAG, ociPlace, TITLE } from '../pull/oci-place.ts';
import type { Place } from '../pull/place.ts';
import { type Descriptor, digestOf, IMAGE_INDEX, MANIFEST, type Manifest, Registry } from '../pull/registry.ts';
import { sha256 } from '../util/hash.ts';
import { allFiles, type PublicationIndex, type PublishedFile } from './index-file.ts';
import { bytesOf, type Prepared } from './prepare.ts';
import type { Target } from './target.ts';

/** What files are, by the end of their names; anything else is plain text. */
const TYPES: [end: string, type: string][] = [
  ['.intoto.jsonl', 'application/vnd.in-toto+json'],
  ['.cdx.json', 'application/vnd.cyclonedx+json'],
  ['.minisig', 'application/vnd.pvgrub-forge.minisign.v1'],
  ['.buildinfo', 'application/vnd.debian.buildinfo'],
  ['.json', 'application/json'],
  ['.html', 'text/html'],
  ['.gz', 'application/gzip'],
  ['.bin', 'application/octet-stream'],
];

const typeOf = (name: string) => TYPES.find(([end]) => name.endsWith(end))?.[1] ?? 'text/plain';

/** The empty configuration of an artifact (opencontainers/image-spec, manifest.md, "Guidance for an empty descriptor"). */
const EMPTY = Buffer.from('{}');
const CONFIG: Descriptor = { mediaType: 'application/vnd.oci.empty.v1+json', digest: `sha256:${sha256(EMPTY)}`, size: 2, data: 'e30=' };

const layer = ({ name, size, sha256 }: PublishedFile): Descriptor => ({
  mediaType: typeOf(name),
  digest: `sha256:${sha256}`,
  size,
  annotations: { [TITLE]: name },
});

/**
 * A publication as artifacts of an OCI registry. Each image is a manifest, tagged with its id; signature, attestations and
 * logs refer to it (OCI 1.1 referrers, with the tag that the specification names for registries that do not know them).
 */
class OciTarget implements Target {
  readonly name: string;
  private readonly registry: Registry;
  /** Digest of the index that was there at the beginning. */
  private before: string | undefined;
  /** Manifests of images that were put, by id. */
  private readonly manifests = new Map<string, Manifest>();

  constructor(address: string) {
    this.name = address;
    this.registry = new Registry(address);
  }

  /** Registries know no locks: that nobody else has published is looked at once more before the index is replaced. */
  async lock(): Promise<() => Promise<void>> {
    this.before = (await this.registry.manifest(INDEX_TAG))?.digest;
    return async () => {};
  }

  async putImage({ image, contents }: Prepared): Promise<boolean> {
    const lasting = `${image.id}-${image.path.slice(-16)}`;
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      artifactType: 'application/vnd.pvgrub-forge.image.v1',
      config: CONFIG,
      layers: [layer(image.image)],
      annotations: {
        [TITLE]: image.id,
        'org.opencontainers.image.version': image.version,
        'org.pvgrub-forge.arch': image.arch,
        'org.pvgrub-forge.input': image.inputHash,
      },
    };
    this.manifests.set(image.id, manifest);
    if (await this.has(lasting, manifest)) return false;
    await this.registry.putBlob(EMPTY);
    for (const file of allFiles(image)) await this.registry.putBlob(await listedBytes({ image, contents }, file));
    // Under its digest first: the tag comes when all that refers to it is there.
    const { descriptor: subject } = await this.registry.putManifest(manifest);
    await this.putReferrers(subject, image.files);
    await this.registry.putManifest(manifest, lasting);
    return true;
  }

  private async putReferrers(subject: Descriptor, files: readonly PublishedFile[]): Promise<void> {
    const { mediaType, digest, size } = subject;
    const fresh: Descriptor[] = [];
    let refers = true;
    for (const file of files) {
      const made = await this.registry.putManifest({
        schemaVersion: 2,
        mediaType: MANIFEST,
        artifactType: typeOf(file.name),
        config: CONFIG,
        layers: [layer(file)],
        subject: { mediaType, digest, size },
        annotations: { [TITLE]: file.name },
      });
      fresh.push(made.descriptor);
      refers &&= made.refers;
    }
    if (refers) return;
    const tag = digest.replace(':', '-');
    const there = (await this.registry.manifest(tag))?.manifest.manifests ?? [];
    const kept = there.filter((one) => !fresh.some(({ digest }) => digest === one.digest));
    await this.registry.putManifest({ schemaVersion: 2, mediaType: IMAGE_INDEX, manifests: [...kept, ...fresh] }, tag);
  }

  async commit(views: ReadonlyMap<string, Uint8Array>): Promise<boolean> {
    const layers: Descriptor[] = [];
    for (const [name, bytes] of views) {
      // The index and its signature are replaced as one here.
      if (name.includes('/')) continue;
      const buffer = Buffer.from(bytes);
      layers.push(layer({ name, size: buffer.length, sha256: sha256(buffer) }));
      await this.registry.putBlob(buffer);
    }
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      artifactType: 'application/vnd.pvgrub-forge.index.v1',
      config: CONFIG,
      layers,
    };
    const there = (await this.registry.manifest(INDEX_TAG))?.digest;
    if (there !== this.before)
      throw new UsageError('FILE_THERE', `somebody else has published to ${this.name} meanwhile`, { hint: 'publish again' });
    const same = there === digestOf(manifest);
    if (!same) {
      await this.registry.putBlob(EMPTY);
      await this.registry.putManifest(manifest, INDEX_TAG);
    }
    const moved = await this.tag();
    return !same || moved;
  }

  private async has(tag: string, manifest: Manifest): Promise<boolean> {
    return (await this.registry.manifest(tag))?.digest === digestOf(manifest);
  }

  /** Let the plain id of each image mean the one in the index. */
  private async tag(): Promise<boolean> {
    let moved = false;
    for (const [id, manifest] of this.manifests) {
      if (await this.has(id, manifest)) continue;
      await this.registry.putManifest(manifest, id);
      moved = true;
    }
    return moved;
  }

  /** Images that are withdrawn lose their tag to an artifact that is empty: not every registry removes tags. All else is for its own clean-up. */
  async tidy(_index: PublicationIndex, _sha256: string, withdrawn: readonly string[]): Promise<void> {
    for (const id of withdrawn)
      await this.registry.putManifest(
        {
          schemaVersion: 2,
          mediaType: MANIFEST,
          artifactType: 'application/vnd.pvgrub-forge.withdrawn.v1',
          config: CONFIG,
          layers: [CONFIG],
        },
        id,
      );
  }
}

/** The bytes of a file, which must be those that were listed. */
async function listedBytes(prepared: Prepared, { name, sha256: wanted }: PublishedFile): Promise<Buffer> {
  const bytes = await bytesOf(prepared, name);
  const got = sha256(bytes);
  if (got === wanted) return bytes;
  throw new OutputError('OUTPUT_DAMAGED', `${name} of ${prepared.image.id} has changed while it was published`, { expected: wanted, got });
}

/** A registry to publish to, and the same to be read. @throws UsageError OPTION_INVALID */
export function ociTarget(address: string): { target: Target; place: Place } {
  return { target: new OciTarget(address), place: ociPlace(address) };
}
