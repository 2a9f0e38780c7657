import { editDigest } from '../recipes/edits.ts';
import type { Recipe } from '../recipes/types.ts';
import { canonicalJson } from '../util/hash.ts';
import { type InputDigests, inputDigests, type Unpinned } from './input-hash.ts';

/** What a result's metadata tells of its inputs. */
export interface EarlierInputs {
  sources: readonly { name: string; version: string }[];
  edits: readonly { id: string; digest: string }[];
  environment: Readonly<Record<string, string>>;
  commands: readonly string[];
  buildImage: { dockerfile: string; packages: readonly string[] };
  /** Absent in results of earlier versions of this program. */
  inputs?: InputDigests;
}

/** How many changes of one kind are named. */
const NAMED = 6;

/** What is new, gone or another between two sets of values by name, as words. */
function compared(kind: string, before: Readonly<Record<string, string>>, now: Readonly<Record<string, string>>): string[] {
  const words = [
    ...Object.keys(now)
      .filter((name) => before[name] === undefined)
      .map((name) => `${kind} ${name} is new`),
    ...Object.keys(before)
      .filter((name) => now[name] === undefined)
      .map((name) => `${kind} ${name} is gone`),
    ...Object.keys(now)
      .filter((name) => before[name] !== undefined && before[name] !== now[name])
      .map((name) => `${kind} ${name} has changed`),
  ];
  return words.length > NAMED ? [...words.slice(0, NAMED), `… and ${words.length - NAMED} more of ${kind}`] : words;
}

const byName = (packages: readonly string[]) =>
  Object.fromEntries(packages.map((text): [string, string] => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]));

/** Which commands are others: by their place, where there are as many as before. */
function commands(before: readonly string[], recipe: Recipe): string[] {
  const now = recipe.steps.map((step) => step.run);
  if (canonicalJson(before) === canonicalJson(now)) return [];
  if (before.length !== now.length) return [`${now.length} commands instead of ${before.length}`];
  const places = now.flatMap((run, i) => (run === before[i] ? [] : [`${i + 1} (${recipe.steps[i]?.phase})`]));
  return [`command ${places.join(', ')} has changed`];
}

/**
 * Which inputs of a cell are others than those that a result was built from, in words. Pure.
 *
 * @param earlier the result's metadata
 * @param manifest the present build image
 * @returns empty where nothing differs that the metadata shows
 */
export function changedInputs(
  earlier: EarlierInputs,
  recipe: Recipe,
  manifest: { dockerfile: string; packages: readonly string[] },
  unpinned: Unpinned = {},
): string[] {
  const { inputs } = earlier;
  const now = inputDigests(recipe, unpinned);
  const versions = (sources: readonly { name: string; version: string }[]) =>
    Object.fromEntries(sources.map(({ name, version }) => [name, version]));
  return [
    ...compared('source', inputs?.sources ?? versions(earlier.sources), inputs ? now.sources : versions(recipe.sources)),
    ...compared(
      'edit',
      Object.fromEntries(earlier.edits.map(({ id, digest }) => [id, digest])),
      Object.fromEntries(recipe.edits.map((edit) => [edit.id, editDigest(edit)])),
    ),
    ...compared('variable', earlier.environment, recipe.env),
    ...commands(earlier.commands, recipe),
    ...(inputs ? compared('file', inputs.files, now.files) : []),
    ...(inputs && inputs.placements !== now.placements ? ['where sources go, or what is left out of them, has changed'] : []),
    ...(inputs && inputs.outputs !== now.outputs ? ['the list of outputs has changed'] : []),
    ...(earlier.buildImage.dockerfile === manifest.dockerfile ? [] : ['Dockerfile.build has changed']),
    ...compared('package', byName(earlier.buildImage.packages), byName(manifest.packages)),
  ];
}
