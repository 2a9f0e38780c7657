import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inRange } from '../catalog/version.ts';
import { SourceError, UsageError } from '../errors.ts';
import { canonicalJson, sha256 } from '../util/hash.ts';
import type { Arch, Edit } from './types.ts';

/**
 * Read all edits of a folder (one JSON file each), sorted by file name: that is the order they are applied in.
 * @throws UsageError CATALOG_INVALID where a file is not JSON or its id is not its file name
 */
export function loadEdits(folder: string): Edit[] {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort();
  return names.map((name) => {
    try {
      const edit = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Edit;
      if (`${edit.id}.json` !== name) throw new Error(`its id is "${edit.id}"`);
      return edit;
    } catch (error) {
      throw new UsageError('CATALOG_INVALID', `the edit ${name} cannot be used: ${(error as Error).message}`, { cause: error });
    }
  });
}

/** The edits that are for one version and arch. */
export function selectEdits(edits: readonly Edit[], version: string, arch: Arch): Edit[] {
  return edits.filter((edit) => inRange(version, edit) && (edit.arches === undefined || edit.arches.includes(arch)));
}

/** SHA-256 over what an edit does (not over its words): part of the input hash, and of what `seen` records. */
export function editDigest(edit: Edit): string {
  const { id, source, substitutions = [], create = [] } = edit;
  return sha256(canonicalJson({ id, source, substitutions, create }));
}

/** Every file that an edit changes or adds, relative to its source's top folder. */
export function editedFiles(edit: Edit): { changed: string[]; created: string[] } {
  return {
    changed: [...new Set((edit.substitutions ?? []).map((substitution) => substitution.file))],
    created: (edit.create ?? []).map((file) => file.file),
  };
}

/** How often literal text stands in another, without overlaps. */
export function countOccurrences(text: string, find: string): number {
  return find === '' ? 0 : text.split(find).length - 1;
}

/**
 * Apply edits to the content of files. Pure: gives new contents, changes nothing.
 * Files are Latin-1 text, so that every byte survives; the edits' own text is taken as UTF-8 bytes.
 *
 * @param edits in order
 * @param files content by file name; undefined for a file that is not there
 * @returns only the files that an edit changed or added
 * @throws SourceError EDIT_MISMATCH where a file is missing, a text stands more or fewer times than the edit says,
 *   or a file to be added is there already
 */
export function applyEdits(edits: readonly Edit[], files: ReadonlyMap<string, Buffer | undefined>): Map<string, Buffer> {
  const bytes = (text: string) => Buffer.from(text, 'utf8').toString('latin1');
  const changed = new Map<string, Buffer>();
  const now = (file: string) => changed.get(file) ?? files.get(file);
  const mismatch = (edit: Edit, file: string, expected: string, got: string) =>
    new SourceError('EDIT_MISMATCH', `the edit ${edit.id} does not fit ${edit.source}'s ${file}`, {
      expected,
      got,
      hint: "the sources are not the ones the edit was made for: check --origin, or mend the edit's text or its version range (docs/edits.md)",
    });
  for (const edit of edits) {
    for (const { file, content } of edit.create ?? []) {
      if (now(file) !== undefined) throw mismatch(edit, file, 'no such file', 'the file is there');
      changed.set(file, Buffer.from(content, 'utf8'));
    }
    for (const { file, find, replace, count } of edit.substitutions ?? []) {
      const content = now(file);
      if (content === undefined) throw mismatch(edit, file, `${count} × ${JSON.stringify(find)}`, 'no such file');
      const text = content.toString('latin1');
      const seen = countOccurrences(text, bytes(find));
      if (seen !== count) throw mismatch(edit, file, `${count} × ${JSON.stringify(find)}`, `${seen} ×`);
      changed.set(
        file,
        Buffer.from(
          text.replaceAll(bytes(find), () => bytes(replace)),
          'latin1',
        ),
      );
    }
  }
  return changed;
}
