import type { Container } from 'dockerode';
import { type PutFile, readFileFrom } from '../engine/archive.ts';
import { SHELF, type ShelfFile } from '../engine/shelf.ts';
import { SourceError } from '../errors.ts';
import { applyEdits, editedFiles } from '../recipes/edits.ts';
import type { Recipe } from '../recipes/types.ts';
import type { StoredSource } from '../sources/store.ts';
import { type Tarball, TREE, unpackScript } from './scripts.ts';

/** How a cell's tree comes about: sources in, and edits applied to what they unpack to. */

/**
 * What must be there before a cell's first container starts: tarballs on the shelf, and below /cell the script that
 * unpacks them and the recipe's files.
 * @throws SourceError SOURCE_ARCHIVE_BROKEN for a tarball that a Makefile could not use
 */
export function treeInputs(
  recipe: Recipe,
  sources: ReadonlyMap<string, StoredSource>,
  umask?: string,
): { shelf: ShelfFile[]; files: PutFile[] } {
  const tarballs = new Map<string, Tarball>();
  const shelf: ShelfFile[] = [];
  for (const [name, { record, path }] of sources) {
    tarballs.set(name, { file: `${SHELF}/${record.sha256}`, format: record.format, top: record.top });
    const wanted = recipe.sources.find((ref) => ref.name === name)?.top;
    if (recipe.placements.some((placement) => placement.source === name && placement.as !== undefined) && record.top !== wanted) {
      throw new SourceError('SOURCE_ARCHIVE_BROKEN', `${name}'s tarball cannot be used by the Makefile that unpacks it`, {
        expected: `a folder ${wanted} at its top`,
        got: record.top,
        hint: 'pack it anew with that folder, or give a git repository as its origin',
      });
    }
    shelf.push({ path, size: record.size, sha256: record.sha256 });
  }
  const text = (name: string, content: string): PutFile => ({ name: `in/${name}`, content: Buffer.from(content) });
  const files = [
    text('unpack.sh', unpackScript(recipe.placements, tarballs, umask)),
    ...Object.entries(recipe.files).map(([name, content]) => text(name, content)),
  ];
  return { shelf, files };
}

/**
 * Read the files that edits name out of the unpacked tree, and apply the edits.
 * @param tree where the container has it
 * @returns what they have changed or added, to be put below the tree
 * @throws SourceError EDIT_MISMATCH
 */
export async function editedTree(container: Container, recipe: Recipe, tree = TREE): Promise<PutFile[]> {
  const folders = new Map(
    recipe.placements.flatMap(({ source, unpack }) =>
      unpack === undefined ? [] : [[source, unpack === '.' ? '' : `${unpack}/`] as const],
    ),
  );
  const changed: PutFile[] = [];
  const homeless = recipe.edits.find((edit) => !folders.has(edit.source));
  if (homeless) {
    throw new SourceError('EDIT_MISMATCH', `the edit ${homeless.id} is for ${homeless.source}, which is not unpacked in this cell`, {
      expected: `one of ${[...folders.keys()].join(', ')}`,
      hint: "mend the edit's source or its version range (docs/edits.md)",
    });
  }
  for (const [source, folder] of folders) {
    const edits = recipe.edits.filter((edit) => edit.source === source);
    const names = new Set(edits.flatMap((edit) => [...editedFiles(edit).changed, ...editedFiles(edit).created]));
    const contents = new Map<string, Buffer | undefined>();
    const modes = new Map<string, number>();
    for (const name of names) {
      const file = await readFileFrom(container, `${tree}/${folder}${name}`);
      if (file && file.type !== 'file')
        throw new SourceError('EDIT_MISMATCH', `${source}'s ${name} is a ${file.type}, not a plain file`, {
          hint: 'name the file that it leads to in the edit',
        });
      contents.set(name, file?.content);
      if (file) modes.set(name, file.mode);
    }
    for (const edit of edits) for (const added of edit.create ?? []) if (added.executable) modes.set(added.file, 0o755);
    for (const [name, content] of applyEdits(edits, contents))
      changed.push({ name: `${folder}${name}`, content, mode: modes.get(name) ?? 0o644 });
  }
  return changed;
}
