import type { SourceRef } from '../catalog/types.ts';
import { editDigest } from '../recipes/edits.ts';
import type { Recipe } from '../recipes/types.ts';
import { canonicalJson, sha256 } from '../util/hash.ts';

/** Sources of a cell that are taken although nothing proves them: SHA-256 of the tarball by source name. */
export type Unpinned = Readonly<Record<string, string>>;

/** What identifies a source in the input hash: its pins, or the bytes themselves where no pin holds. */
function sourceIdentity(source: SourceRef, unpinned: Unpinned): unknown {
  const bytes = unpinned[source.name];
  const { name, version, pins, within } = source;
  if (bytes !== undefined) return { name, version, unpinned: bytes };
  return { name, version, pins, ...(within ? { folder: within.folder } : {}) };
}

/**
 * The hash over everything that can change a cell's output: sources, where they go, edits, environment, files,
 * commands, outputs, and the build image's manifest. The same on every engine and every day for the same inputs.
 *
 * @param recipe the cell's recipe
 * @param manifest SHA-256 of the build image's manifest (see engine/manifest.ts)
 * @param unpinned trusted sources without a matching pin
 * @returns 64 lower-case hex digits
 */
export function inputHash(recipe: Recipe, manifest: string, unpinned: Unpinned = {}): string {
  return sha256(
    canonicalJson({
      schema: 1,
      sources: recipe.sources.map((source) => sourceIdentity(source, unpinned)),
      placements: recipe.placements,
      edits: recipe.edits.map(editDigest),
      env: recipe.env,
      files: recipe.files,
      steps: recipe.steps.map((step) => step.run),
      outputs: recipe.outputs,
      manifest,
    }),
  );
}

/** Digests of the parts of an input hash that a result's metadata does not show otherwise: see {@link changedInputs}. */
export interface InputDigests {
  /** By source: of its pins, or of the bytes where no pin holds. */
  sources: Record<string, string>;
  /** Where sources go, and what is left out of them. */
  placements: string;
  /** By name. */
  files: Record<string, string>;
  outputs: string;
}

/** See {@link InputDigests}; parameters as of {@link inputHash}. */
export function inputDigests(recipe: Recipe, unpinned: Unpinned = {}): InputDigests {
  const digest = (value: unknown) => sha256(canonicalJson(value));
  return {
    sources: Object.fromEntries(recipe.sources.map((source) => [source.name, digest(sourceIdentity(source, unpinned))])),
    placements: digest(recipe.placements),
    files: Object.fromEntries(Object.entries(recipe.files).map(([name, content]) => [name, sha256(content)])),
    outputs: digest(recipe.outputs),
  };
}
