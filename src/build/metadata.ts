import type { BootMetadata } from '../boot/report.ts';
import type { Manifest } from '../engine/manifest.ts';
import { manifestDigest } from '../engine/manifest.ts';
import type { Inspection } from '../inspect/inspect.ts';
import { type InputDigests, inputDigests, type Unpinned } from '../plan/input-hash.ts';
import type { Cell } from '../plan/plan.ts';
import { editDigest } from '../recipes/edits.ts';
import type { ReproduceMetadata } from '../reproduce/report.ts';
import { identityOf, type StoredSource } from '../sources/store.ts';
import { buildEnvironment } from './scripts.ts';

/** What `metadata.json` beside an image says; docs/metadata.md explains each member. */
export interface Metadata {
  schema: 1;
  id: string;
  loader: string;
  version: string;
  arch: string;
  /** Over everything that can change the output. */
  inputHash: string;
  /** Of the parts of it that do not stand here otherwise; absent in results of 0.3 and before. */
  inputs?: InputDigests;
  image: { file: string; size: number; sha256: string };
  debug?: { file: string; size: number; sha256: string };
  /** Names of sources that nothing proves; empty for an image whose sources are all pinned. */
  unpinned: string[];
  sources: { name: string; version: string; file: string; sha256: string; origin: string; proof: string | null; commit?: string }[];
  edits: { id: string; digest: string; what: string }[];
  buildImage: { digest: string; dockerfile: string; base: string; packages: string[] };
  environment: Record<string, string>;
  commands: string[];
  reads: { kernelCompressions: string[]; fileSystems: string[] };
  warnings: string[];
  inspection: { summary: string; elf: Inspection['elf']; xen: Inspection['xen'] };
  /** `toolchain`: which one, and the cell that made it; absent where it was not shared. */
  build: {
    engine: string;
    cores: number;
    started: string;
    seconds: number;
    /** Milliseconds, bytes, processes; absent in results of before. */
    limits?: { timeMs: number; memory: number; pids: number };
    toolchain?: { id: string; from: string };
  };
  /** How it booted in a real Xen; absent for an image that was never booted. */
  boot?: BootMetadata;
  /** Whether it came about again, bit for bit; absent for an image that was never built again. */
  reproduced?: ReproduceMetadata;
}

/** Those of a cell's sources that nothing proves: SHA-256 by name, as the input hash wants them. */
export function unpinnedOf(sources: ReadonlyMap<string, StoredSource>): Unpinned {
  return Object.fromEntries([...sources].flatMap(([name, { record, proof }]) => (proof === undefined ? [[name, record.sha256]] : [])));
}

/** The same of sources as metadata and provenance list them. */
export function unprovedOf(sources: readonly Pick<Metadata['sources'][number], 'name' | 'sha256' | 'proof'>[]): Unpinned {
  return Object.fromEntries(sources.filter(({ proof }) => proof === null).map(({ name, sha256 }) => [name, sha256]));
}

/** Everything that the metadata is put together from. */
export interface MetadataInput {
  cell: Cell;
  inputHash: string;
  sources: ReadonlyMap<string, StoredSource>;
  manifest: Manifest;
  inspection: Inspection;
  image: { file: string; size: number; sha256: string };
  debug: { file: string; size: number; sha256: string } | undefined;
  build: Metadata['build'];
  boot?: BootMetadata | undefined;
}

/** Put a cell's metadata together. Pure. */
export function metadataOf(input: MetadataInput): Metadata {
  const { cell, manifest, inspection } = input;
  const { recipe } = cell;
  const sources = [...input.sources.values()].map(({ record, proof }) => {
    const { commit } = identityOf(record);
    return {
      name: record.name,
      version: record.version,
      file: record.file,
      sha256: record.sha256,
      origin: record.origin,
      proof: proof ?? null,
      ...(commit ? { commit } : {}),
    };
  });
  const unpinned = Object.keys(unpinnedOf(input.sources));
  const warnings = unpinned.length > 0 ? [`built with sources that nothing proves: ${unpinned.join(', ')}`] : [];
  return {
    schema: 1,
    id: cell.id,
    loader: cell.loader,
    version: cell.version,
    arch: cell.arch,
    inputHash: input.inputHash,
    inputs: inputDigests(recipe, unpinnedOf(input.sources)),
    image: input.image,
    ...(input.debug ? { debug: input.debug } : {}),
    unpinned,
    sources,
    edits: recipe.edits.map((edit) => ({ id: edit.id, digest: editDigest(edit), what: edit.what })),
    buildImage: { digest: manifestDigest(manifest), dockerfile: manifest.dockerfile, base: manifest.base, packages: manifest.packages },
    environment: buildEnvironment(recipe),
    commands: recipe.steps.map((step) => step.run),
    reads: recipe.reads,
    warnings: [...warnings, ...recipe.warnings],
    inspection: { summary: inspection.summary, elf: inspection.elf, xen: inspection.xen },
    build: input.build,
    ...(input.boot ? { boot: input.boot } : {}),
  };
}
