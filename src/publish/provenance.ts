import type { Metadata } from '../build/metadata.ts';
import { VERSION } from '../catalog/load.ts';
import { editDigest } from '../recipes/edits.ts';
import type { Recipe } from '../recipes/types.ts';
import type { ResourceDescriptor, Statement } from './dsse.ts';

/**
 * How an image came about, as SLSA provenance v1 (slsa.dev/spec/v1.0/provenance) in an in-toto Statement: everything that
 * building it again takes, named by digest. docs/provenance.md explains each member. Pure.
 */

export const PROVENANCE = 'https://slsa.dev/provenance/v1';
/** What the parameters mean: a cell of this product, built by its recipe. */
export const BUILD_TYPE = 'urn:pvgrub-forge:build:cell:1';
/** Whoever has the key that signs it, on a machine of their own: SLSA level 1. */
const BUILDER = 'urn:pvgrub-forge:builder:self-hosted';

/** The build image, as an archive in the store. */
export interface ImageArchive {
  file: string;
  sha256: string;
}

/** What a provenance needs beside the metadata. */
export interface ProvenanceInput {
  metadata: Metadata;
  recipe: Recipe;
  /** Undefined where the build image was not exported: it is then named by its packages alone. */
  archive: ImageArchive | undefined;
  /** Other files of the build, by name: SHA-256. */
  files: Readonly<Record<string, string>>;
}

/** A recipe as it is written down: without what only helps to plan and to share. */
type WrittenRecipe = Omit<Recipe, 'toolchain'>;

/** See {@link WrittenRecipe}. */
function writtenRecipe({ toolchain: _, edits, ...recipe }: Recipe): WrittenRecipe {
  return { ...recipe, edits: edits.map(({ seen: _seen, ...edit }) => edit) };
}

/** The statement about an image and, where there is one, its debug file. */
export function provenance({ metadata, recipe, archive, files }: ProvenanceInput): Statement {
  const { build, buildImage, image, debug, boot, reproduced } = metadata;
  const finished = new Date(Date.parse(build.started) + build.seconds * 1000).toISOString();
  const subject = [image, ...(debug ? [debug] : [])].map(({ file, sha256 }) => ({ name: file, digest: { sha256 } }));
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject,
    predicateType: PROVENANCE,
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: {
          loader: metadata.loader,
          version: metadata.version,
          arch: metadata.arch,
          trust: metadata.unpinned,
          recipe: writtenRecipe(recipe),
        },
        internalParameters: {
          inputHash: metadata.inputHash,
          environment: metadata.environment,
          cores: build.cores,
          engine: build.engine,
          ...(build.limits ? { limits: build.limits } : {}),
          ...(build.toolchain ? { toolchain: build.toolchain } : {}),
        },
        resolvedDependencies: [...sources(metadata, recipe), ...edits(recipe), imageOf(buildImage, archive)],
      },
      runDetails: {
        builder: { id: BUILDER, version: { 'pvgrub-forge': VERSION } },
        metadata: { startedOn: build.started, finishedOn: finished },
        byproducts: [
          ...Object.entries(files).map(([name, sha256]) => ({ name, digest: { sha256 } })),
          ...(boot ? [inline('boot', boot)] : []),
          ...(reproduced ? [inline('reproduced', reproduced)] : []),
        ],
      },
    },
  };
}

/** Data as a resource of its own. */
function inline(name: string, data: object): ResourceDescriptor {
  return { name, mediaType: 'application/json', content: Buffer.from(JSON.stringify(data)).toString('base64') };
}

function sources({ sources: used }: Metadata, recipe: Recipe): ResourceDescriptor[] {
  return used.map(({ name, version, file, sha256, commit, origin, proof }) => ({
    name,
    digest: { sha256 },
    annotations: {
      version,
      file,
      origin,
      proof,
      ...(commit ? { commit } : {}),
      pins: recipe.sources.find((source) => source.name === name)?.pins ?? {},
    },
  }));
}

function edits({ edits: applied }: Recipe): ResourceDescriptor[] {
  return applied.map((edit) => ({
    name: `edit ${edit.id}`,
    digest: { sha256: editDigest(edit) },
    annotations: { source: edit.source, what: edit.what },
  }));
}

/** Its manifest, and its archive where there is one. */
function imageOf({ digest, dockerfile, base, packages }: Metadata['buildImage'], archive: ImageArchive | undefined): ResourceDescriptor {
  return {
    name: 'build image',
    uri: `urn:pvgrub-forge:build-image:${digest}`,
    ...(archive ? { digest: { sha256: archive.sha256 } } : {}),
    annotations: { ...(archive ? { file: archive.file } : {}), manifest: digest, dockerfile, base, packages },
  };
}
