import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { knownVersions } from '../../src/catalog/resolve.ts';
import { compareVersions, inRange, isVersion } from '../../src/catalog/version.ts';
import { planMatrix } from '../../src/plan/plan.ts';
import { editDigest, editedFiles, selectEdits } from '../../src/recipes/edits.ts';
import type { Edit, Loader } from '../../src/recipes/types.ts';
import { realPlanData } from '../support/plan-data.ts';

const data = realPlanData();
const loaders: Loader[] = ['pv-grub', 'pvgrub2'];
const all = loaders.flatMap((loader) => data.edits[loader].map((edit) => ({ name: `${loader}/${edit.id}`, loader, edit })));

const sentence = z.string().regex(/^\S.*\S\.$/s, 'expected a sentence');
/** A name below the source's top folder: relative, no step upward, no empty step. */
const below = z.string().refine((name) => name !== '' && name.split('/').every((step) => step !== '' && step !== '.' && step !== '..'));
const version = z.string().refine(isVersion);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const schema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
    what: sentence,
    why: sentence,
    source: z.string().min(1),
    from: version.nullish(),
    to: version.nullish(),
    arches: z
      .array(z.enum(['x86_64', 'x86_32', 'x86_32_pvh']))
      .min(1)
      .optional(),
    upstream: z
      .string()
      .regex(/^[0-9a-f]{10,40}\b/)
      .optional(),
    substitutions: z
      .array(
        z
          .strictObject({ file: below, find: z.string().min(1), replace: z.string(), count: z.int().positive() })
          .refine((one) => one.find !== one.replace),
      )
      .min(1)
      .optional(),
    create: z
      .array(z.strictObject({ file: below, content: z.string(), executable: z.boolean().optional() }))
      .min(1)
      .optional(),
    seen: z.strictObject({ edit: hash, in: z.record(version, z.record(below, hash)) }).optional(),
  })
  .refine((edit) => edit.substitutions !== undefined || edit.create !== undefined, 'it does nothing');

describe.each(all)('$name', ({ loader, edit }) => {
  const known = knownVersions(data.catalog, loader);

  test('says what it does and why, and every substitution has a text to find and a count', () => {
    expect(z.prettifyError(schema.safeParse(edit).error ?? new z.ZodError([]))).toBe('');
  });

  test('has a range that begins and ends at releases of the catalog', () => {
    const { from, to } = edit;
    for (const end of [from, to]) if (end !== undefined && end !== null) expect(known).toContain(end);
    if (from && to) expect(compareVersions(from, to)).toBeLessThanOrEqual(0);
  });

  test('changes a source that each of its releases unpacks', () => {
    const versions = known.filter((text) => selectEdits([{ ...edit, arches: undefined } as never as Edit], text, 'x86_64').length > 0);
    expect(versions).not.toEqual([]);
    for (const cell of planMatrix({ loaders: { [loader]: { versions } }, include: [], exclude: [] }, data)) {
      const unpacked = cell.recipe.placements.filter((placement) => placement.unpack !== undefined).map((placement) => placement.source);
      expect(unpacked, cell.id).toContain(edit.source);
    }
  });
});

test.each(loaders)('no two edits of %s have one id or add one file', (loader) => {
  const names = data.edits[loader].map((edit) => edit.id);
  const added = data.edits[loader].flatMap((edit) => (edit.create ?? []).map((file) => `${edit.source}/${file.file}`));
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(added).size).toBe(added.length);
});

// What an edit was seen to match in (docs/edits.md) is untrue as soon as the edit or its range changes.
test.each(all)('$name is the same as when it was last seen to match, in the first and last release of its range', ({ loader, edit }) => {
  const known = knownVersions(data.catalog, loader).filter((text) => inRange(text, edit));
  expect(edit.seen?.edit).toBe(editDigest(edit));
  expect(new Set(Object.keys(edit.seen?.in ?? {}))).toEqual(new Set([known[0], known.at(-1)]));
  for (const files of Object.values(edit.seen?.in ?? {}))
    expect(Object.keys(files).toSorted()).toEqual(editedFiles(edit).changed.toSorted());
});
