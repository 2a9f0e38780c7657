import { expect, test } from 'vitest';
import { changedInputs, type EarlierInputs } from '../../src/plan/changes.ts';
import { inputDigests } from '../../src/plan/input-hash.ts';
import { editDigest } from '../../src/recipes/edits.ts';
import { pvGrubRecipe } from '../../src/recipes/pv-grub.ts';
import type { Recipe } from '../../src/recipes/types.ts';
import { realPlanData } from '../support/plan-data.ts';

const recipe = pvGrubRecipe('4.4.4', 'x86_64', realPlanData());
const manifest = { dockerfile: 'd', packages: ['gcc:amd64=12.2', 'make:amd64=4.3'] };

/** What the metadata of a result of this recipe says. */
function earlier(of: Recipe = recipe, buildImage = manifest): EarlierInputs {
  return {
    sources: of.sources,
    edits: of.edits.map((edit) => ({ id: edit.id, digest: editDigest(edit) })),
    environment: of.env,
    commands: of.steps.map((step) => step.run),
    buildImage,
    inputs: inputDigests(of),
  };
}

test('nothing has changed where all is the same', () => {
  expect(changedInputs(earlier(), recipe, manifest)).toEqual([]);
});

const [first, ...others] = recipe.edits;
test.each<[string, Partial<Recipe>, string[]]>([
  ['an edit less', { edits: others }, [`edit ${first?.id} is new`]],
  ['another edit', { edits: [{ ...(first as NonNullable<typeof first>), source: 'other' }, ...others] }, [`edit ${first?.id} has changed`]],
  ['another variable', { env: { ...recipe.env, TZ: 'CET' } }, ['variable TZ has changed']],
  ['a variable more', { env: { ...recipe.env, EXTRA: '1' } }, ['variable EXTRA is gone']],
  ['a command less', { steps: recipe.steps.slice(1) }, [`${recipe.steps.length} commands instead of ${recipe.steps.length - 1}`]],
  [
    'another command',
    { steps: recipe.steps.map((step, i) => (i === 1 ? { ...step, run: 'true' } : step)) },
    [`command 2 (${recipe.steps[1]?.phase}) has changed`],
  ],
  ['another list of members', { files: { ...recipe.files, 'newlib-members.txt': '' } }, ['file newlib-members.txt has changed']],
  ['another place', { placements: recipe.placements.slice(1) }, ['where sources go, or what is left out of them, has changed']],
  ['other outputs', { outputs: [] }, ['the list of outputs has changed']],
  [
    'another pin',
    { sources: recipe.sources.map((source) => (source.name === 'newlib' ? { ...source, pins: { sha256: 'x' } } : source)) },
    ['source newlib has changed'],
  ],
])('%s than now is named', (_what, before, words) => {
  expect(changedInputs(earlier({ ...recipe, ...before }), recipe, manifest)).toEqual(words);
});

test('other bytes of a source that nothing proves are named', () => {
  expect(changedInputs(earlier(), recipe, manifest, { grub: 'bytes' })).toEqual(['source grub has changed']);
});

test('packages of the build image are named, the first few of many', () => {
  const before = { dockerfile: 'e', packages: ['gcc:amd64=12.1', 'make:amd64=4.3', 'sed:amd64=4.9'] };
  expect(changedInputs(earlier(recipe, before), recipe, manifest)).toEqual([
    'Dockerfile.build has changed',
    'package sed:amd64 is gone',
    'package gcc:amd64 has changed',
  ]);
  const many = Array.from({ length: 40 }, (_, i) => `p${i}:amd64=1`);
  expect(changedInputs(earlier(), recipe, { ...manifest, packages: [...manifest.packages, ...many] }).at(-1)).toBe(
    '… and 34 more of package',
  );
});

test('a result of before digests were kept is compared by what it shows', () => {
  const { inputs: _inputs, ...old } = earlier();
  expect(changedInputs(old, recipe, manifest)).toEqual([]);
  expect(changedInputs({ ...old, sources: [...old.sources, { name: 'gmp', version: '4' }] }, recipe, manifest)).toEqual([
    'source gmp is gone',
  ]);
});
