import type { Container } from 'dockerode';
import { type PutFile, readFileFrom } from '../engine/archive.ts';
import { SHELF, type ShelfFile } from '../engine/shelf.ts';
import { SourceError } from '../errors.ts';
import { applyEdits, editedFiles } from '../recipes/edits.ts';
import type { Recipe } from '../recipes/types.ts';
import { canonicalFile, type StoredSource, treeOfStored } from '../sources/store.ts';
import { type Tarball, TREE, unpackScript } from './scripts.ts';

/** How a cell's tree is made: sources in, and edits applied to what they unpack to. */

/**
 * What must be there before a cell's first container starts: on the shelf the sources in their canonical form, and below /cell the
 * script that unpacks them and the recipe's files. Mini-OS that Xen's own tarball brings must be the one that is pinned.
 * @throws SourceError SOURCE_ARCHIVE_BROKEN for a tarball that a Makefile could not use
 */
export function treeInputs(
  recipe: Recipe,
  sources: ReadonlyMap<string, StoredSource>,
  umask?: string,
): { shelf: ShelfFile[]; files: PutFile[] } {
  const tarballs = new Map<string, Tarball>();
  const shelf: ShelfFile[] = [];
  for (const ref of recipe.sources) {
    const stored = sources.get(ref.name);
    if (!stored) throw new Error(`no source ${ref.name}`);
    const { record } = stored;
    // Another folder is most likely another release.
    if (record.top !== ref.top && recipe.placements.some(({ source, as }) => source === ref.name && as !== undefined)) {
      throw new SourceError('SOURCE_ARCHIVE_BROKEN', `${ref.name}'s tarball cannot be used by the Makefile that unpacks it`, {
        expected: `a folder ${ref.top} at its top`,
        got: record.top,
        hint: 'pack it anew with that folder, or give a git repository as its origin',
      });
    }
    const name = `${ref.name}-${record.sha256}`;
    tarballs.set(ref.name, { file: `${SHELF}/${name}`, top: ref.top });
    shelf.push({ name, make: () => canonicalFile(stored, ref, partsOfXen(ref.name, recipe, sources)) });
  }
  const text = (name: string, content: string): PutFile => ({ name: `in/${name}`, content: Buffer.from(content) });
  const files = [
    text('unpack.sh', unpackScript(recipe.placements, tarballs, umask)),
    ...Object.entries(recipe.files).map(([name, content]) => text(name, content)),
  ];
  return { shelf, files };
}

/** Git trees that folders of Xen's tarball must have where it has them: those of the sources that are put there. */
function partsOfXen(name: string, recipe: Recipe, sources: ReadonlyMap<string, StoredSource>): Record<string, string> {
  if (name !== 'xen') return {};
  return Object.fromEntries(
    recipe.placements.flatMap(({ source, unpack }) => {
      const stored = sources.get(source);
      const tree = source !== name && stored?.proof === 'commit' ? treeOfStored(stored.record) : undefined;
      return unpack === undefined || tree === undefined ? [] : [[unpack, tree] as const];
    }),
  );
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
