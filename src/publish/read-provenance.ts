import { z } from 'zod';
import { unprovedOf } from '../build/metadata.ts';
import { manifestDigest } from '../engine/manifest.ts';
import { VerifyError } from '../errors.ts';
import { inputHash } from '../plan/input-hash.ts';
import type { Cell } from '../plan/plan.ts';
import { editDigest } from '../recipes/edits.ts';
import type { Recipe } from '../recipes/types.ts';
import type { ResourceDescriptor, Statement } from './dsse.ts';
import { BUILD_TYPE, PROVENANCE } from './provenance.ts';

/** Reads a provenance of ours, as far as building the image again takes. Pure. */

/** What an image was made from, by its provenance. */
export interface Told {
  cell: Cell;
  inputHash: string;
  /** Subject of the statement: the image. */
  image: { file: string; sha256: string };
  /** Every source, with the bytes that were used. */
  sources: { name: string; version: string; sha256: string; proof: string | null }[];
  buildImage: { manifest: string; packages: string[]; archive: string | undefined };
  cores: number;
}

const digest = z.string().regex(/^[0-9a-f]{64}$/);
/** A name that is one plain file or folder name. */
const plain = z.string().regex(/^\w[\w.+-]*$/);
/** A path that stays below where it begins. */
const below = z.string().refine((path) => path !== '' && !path.startsWith('/') && !path.split('/').includes('..'), 'leaves its folder');
const texts = z.record(z.string(), z.string());

const variables = z.record(z.string().regex(/^\w+$/), z.string());

const recipe = z.object({
  sources: z.array(
    z
      .object({
        ...{ name: plain, version: plain, file: plain, top: plain, pins: texts, origins: z.array(z.looseObject({})) },
        within: z.object({ name: plain, version: plain, folder: below }).optional(),
      })
      .loose(),
  ),
  placements: z.array(z.object({ source: plain, unpack: below.optional(), as: below.optional(), without: z.array(z.string()).optional() })),
  edits: z.array(
    z
      .object({
        id: plain,
        what: z.string(),
        source: plain,
        substitutions: z.array(z.object({ file: below, find: z.string(), replace: z.string(), count: z.number() })).optional(),
        create: z.array(z.object({ file: below, content: z.string(), executable: z.boolean().optional() })).optional(),
      })
      .loose(),
  ),
  env: variables,
  files: z.record(below, z.string()),
  steps: z.array(z.object({ phase: z.string(), run: z.string() }).loose()),
  outputs: z.array(z.object({ file: plain, role: z.enum(['image', 'debug']) })),
  reads: z.object({ kernelCompressions: z.array(z.string()), fileSystems: z.array(z.string()) }),
  warnings: z.array(z.string()),
});

const subject = z.array(z.looseObject({ name: z.string(), digest: texts }));

const predicate = z.object({
  buildDefinition: z.object({
    buildType: z.literal(BUILD_TYPE),
    externalParameters: z.object({
      loader: z.enum(['pv-grub', 'pvgrub2']),
      version: plain,
      arch: z.enum(['x86_64', 'x86_32', 'x86_32_pvh']),
      recipe,
    }),
    internalParameters: z.object({ inputHash: digest, cores: z.number().int().positive(), environment: variables }),
    resolvedDependencies: z.array(
      z.object({ name: z.string(), digest: texts.optional(), annotations: z.record(z.string(), z.unknown()).optional() }),
    ),
  }),
});

/**
 * What a provenance tells of building its image.
 * @param where what to call it in errors
 * @throws VerifyError STATEMENT_INVALID where it is of another kind, something is missing, or its parts do not belong together
 */
export function readProvenance(statement: Statement, where: string): Told {
  const invalid = (why: string) =>
    new VerifyError('STATEMENT_INVALID', `${where} is no provenance that can be built from: ${why}`, {
      expected: `predicate ${PROVENANCE} with build type ${BUILD_TYPE}`,
      hint: 'give the .intoto.jsonl that was published beside the image',
    });
  if (statement?.predicateType !== PROVENANCE) throw invalid(`its predicate is ${JSON.stringify(statement?.predicateType)}`);
  const subjects = subject.safeParse(statement.subject);
  if (!subjects.success) throw invalid('it has no subjects');
  const parsed = predicate.safeParse(statement.predicate);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`${issue?.path.join('.') ?? 'it'}: ${issue?.message ?? 'wrong'}`);
  }
  const { externalParameters, internalParameters, resolvedDependencies } = parsed.data.buildDefinition;
  const { loader, version, arch } = externalParameters;
  const cell: Cell = { id: `${loader}-${version}-${arch}`, loader, version, arch, recipe: externalParameters.recipe as unknown as Recipe };
  const file = cell.recipe.outputs.find(({ role }) => role === 'image')?.file;
  const sha256 = subjects.data.find(({ name }) => name === file)?.digest?.['sha256'];
  if (file === undefined || !digest.safeParse(sha256).success) throw invalid('it names no image');
  const named = (name: string) => resolvedDependencies.find((one) => one.name === name) as ResourceDescriptor | undefined;
  const sources = cell.recipe.sources.map(({ name, version }) => {
    const used = named(name);
    const bytes = digest.safeParse(used?.digest?.['sha256']);
    if (!bytes.success) throw invalid(`it does not tell the SHA-256 of ${name}`);
    const proof = used?.annotations?.['proof'];
    return { name, version, sha256: bytes.data, proof: typeof proof === 'string' ? proof : null };
  });
  const image = named('build image');
  const manifest = digest.safeParse(image?.annotations?.['manifest']);
  const packages = z.array(z.string()).safeParse(image?.annotations?.['packages']);
  if (!manifest.success || !packages.success) throw invalid('it does not tell the build image');
  const archive = digest.safeParse(image?.digest?.['sha256']);
  const dockerfile = String(image?.annotations?.['dockerfile']);
  if (manifestDigest({ dockerfile, packages: packages.data, base: '' }) !== manifest.data)
    throw invalid('the packages of its build image are not those of its manifest');
  for (const edit of cell.recipe.edits)
    if (named(`edit ${edit.id}`)?.digest?.['sha256'] !== editDigest(edit))
      throw invalid(`the edit ${edit.id} has not the digest that it gives`);
  if (!cell.recipe.sources.some((source) => source.version === version)) throw invalid(`no source is of the version ${version}`);
  if (inputHash(cell.recipe, manifest.data, unprovedOf(sources)) !== internalParameters.inputHash)
    throw invalid('its input hash is not that of its recipe, sources and build image');
  const { environment } = internalParameters;
  for (const [name, value] of Object.entries(cell.recipe.env))
    if (environment[name] !== value) throw invalid(`its environment has not the ${name} of its recipe`);
  return {
    // All that was set, also what this version would set to something else.
    cell: { ...cell, recipe: { ...cell.recipe, env: environment } },
    inputHash: internalParameters.inputHash,
    image: { file, sha256: sha256 as string },
    sources,
    buildImage: { manifest: manifest.data, packages: packages.data, archive: archive.success ? archive.data : undefined },
    cores: internalParameters.cores,
  };
}
