import { readTree } from './archive-tree.ts';

/**
 * Read some plain files out of a stored tarball into memory.
 * @param path a tarball that was checked when it was stored
 * @param wanted names below the tarball's top folder
 * @returns content by name; undefined for a name that is not there or is not a plain file
 * @throws what {@link readTree} throws
 */
export async function readTarFiles(path: string, wanted: ReadonlySet<string>): Promise<Map<string, Buffer | undefined>> {
  const contents = new Map<number, Buffer[]>();
  const { nodes } = await readTree(path, path, {
    onContent: (chunk, file) => {
      if (wanted.has(file.path)) contents.set(file.at, [...(contents.get(file.at) ?? []), chunk]);
    },
  });
  return new Map(
    [...wanted].map((name) => {
      const node = nodes.get(name);
      if (node?.kind !== 'file') return [name, undefined];
      return [name, Buffer.concat(node.size === 0 ? [] : (contents.get(node.at) ?? []))];
    }),
  );
}
