import { extract } from 'tar-stream';
import { decompressed, type Format } from './archive-check.ts';

/**
 * Read some plain files out of a stored tarball into memory.
 * @param path a tarball that was checked when it was stored
 * @param wanted names below the tarball's top folder
 * @returns content by name; undefined for a name that is not there or is no plain file
 */
export async function readTarFiles(path: string, format: Format, wanted: ReadonlySet<string>): Promise<Map<string, Buffer | undefined>> {
  const found = new Map<string, Buffer | undefined>([...wanted].map((name) => [name, undefined]));
  const parser = extract();
  const { stream, done } = decompressed(path, format);
  stream.on('error', (error) => parser.destroy(error)).pipe(parser);
  for await (const entry of parser) {
    const name = entry.header.name.replace(/^\.\//, '').split('/').slice(1).join('/');
    if (wanted.has(name) && entry.header.type === 'file') {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      found.set(name, Buffer.concat(chunks));
    } else entry.resume();
  }
  await done;
  return found;
}
