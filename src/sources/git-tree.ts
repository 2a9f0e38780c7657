import { createHash } from 'node:crypto';

/**
 * Git object ids computed from file contents, so that a commit id proves a tarball without git
 * (formats: gitformat-pack(5), git-hash-object(1); a tree entry is "<mode> <name>\0<20 bytes>").
 */

/** One file of a tree. `mode` is git's: 100644, 100755 or 120000 (symbolic link, content is the target). */
export interface TreeFile {
  path: string;
  mode: '100644' | '100755' | '120000';
  /** Git's blob id, 40 hex digits. */
  blob: string;
}

/** Git's id of an object, 40 hex digits. */
export function objectId(type: 'blob' | 'tree' | 'commit', content: Uint8Array): string {
  return createHash('sha1').update(`${type} ${content.length}\0`).update(content).digest('hex');
}

interface Folder {
  files: Map<string, TreeFile>;
  folders: Map<string, Folder>;
}

/** Git's id of the tree that holds these files (empty folders do not exist for git). */
export function treeId(files: Iterable<TreeFile>): string {
  const root: Folder = { files: new Map(), folders: new Map() };
  for (const file of files) {
    const parts = file.path.split('/');
    const name = parts.pop() as string;
    let folder = root;
    for (const part of parts) {
      let next = folder.folders.get(part);
      if (!next) {
        next = { files: new Map(), folders: new Map() };
        folder.folders.set(part, next);
      }
      folder = next;
    }
    folder.files.set(name, file);
  }
  return folderId(root);
}

function folderId(folder: Folder): string {
  const entries = [
    ...[...folder.files].map(([name, file]) => ({ sort: Buffer.from(name), name, mode: file.mode as string, id: file.blob })),
    // Git sorts folders as if their names ended with a slash.
    ...[...folder.folders].map(([name, inner]) => ({ sort: Buffer.from(`${name}/`), name, mode: '40000', id: folderId(inner) })),
  ].sort((a, b) => Buffer.compare(a.sort, b.sort));
  return objectId(
    'tree',
    Buffer.concat(entries.flatMap(({ mode, name, id }) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(id, 'hex')])),
  );
}

/** The tree that a raw commit object names; undefined where it is not a commit. */
export function treeOfCommit(commit: Uint8Array): string | undefined {
  return /^tree ([0-9a-f]{40})\n/.exec(Buffer.from(commit).toString('latin1'))?.[1];
}

/** The committer's time of a raw commit object, in seconds since 1970; 0 where there is none. */
export function timeOfCommit(commit: Uint8Array): number {
  const header = Buffer.from(commit).toString('latin1').split('\n\n', 1)[0] ?? '';
  const match = /^committer .* (\d+) [+-]\d{4}$/m.exec(header);
  return match ? Number(match[1]) : 0;
}
