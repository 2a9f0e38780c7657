import { posix } from 'node:path';

/** The parts of a tar entry that decide whether it is safe. */
export interface Entry {
  name: string;
  type: string | null | undefined;
  linkname?: string | null | undefined;
  size?: number | undefined;
  /** The records of its own pax header. */
  pax?: unknown;
}

/**
 * The type of an entry as every tar program takes it. The oldest tars have no type for folders: a file whose name ends with a
 * slash is one (tar(5)).
 */
export function typeOf({ name, type }: Pick<Entry, 'name' | 'type'>): string | undefined {
  if (type === 'contiguous-file') return 'file';
  if (type === 'file' && name.endsWith('/')) return 'directory';
  return type ?? undefined;
}

/** Text that was not UTF-8: the reader puts this character in place of each wrong byte. */
const NOT_UTF8 = '\ufffd';

/**
 * Why an entry must not be unpacked; undefined where it may. It may be a plain file, a folder, or a link whose
 * target stays below the top folder (its name is taken off in unpacking). Its name is relative, has no `..`, and is UTF-8. Pure.
 *
 * @param longest bytes that a name or a link's target may have
 */
export function unsafeEntry(entry: Entry, longest = 4096): string | undefined {
  const { name } = entry;
  const type = typeOf(entry);
  const shown = name.slice(0, 200);
  const target = entry.linkname ?? '';
  if (name === '' || name.includes('\0')) return 'an entry without a proper name';
  if (Buffer.byteLength(name) > longest || Buffer.byteLength(target) > longest) return `a name of more than ${longest} bytes: ${shown}…`;
  if (name.split('/').some((part) => Buffer.byteLength(part) > 255)) return `a name with a part of more than 255 bytes: ${shown}…`;
  if (name.includes(NOT_UTF8) || target.includes(NOT_UTF8)) return `a name that is not UTF-8: ${shown}`;
  if (name.startsWith('/')) return `an absolute name: ${shown}`;
  if (name.split('/').includes('..')) return `a name with "..": ${shown}`;
  if (type !== 'directory' && posix.normalize(`${name}/`) === './') return 'an entry without a proper name';
  if (type !== 'directory' && name.endsWith('/')) return `a ${type ?? 'special file'} with the name of a folder: ${shown}`;
  if (/(^|\/)\._[^/]*$/.test(name) && type !== 'directory') return `a file that macOS adds (pack it with COPYFILE_DISABLE=1): ${shown}`;
  // "12  size=5": some programs skip both blanks, others take the second for a part of the key.
  if (Object.keys(entry.pax ?? {}).some((key) => key.trim() !== key || key === ''))
    return `a pax header that tar programs read differently: ${shown}`;
  if (Object.keys(entry.pax ?? {}).some((key) => key.startsWith('GNU.sparse.')))
    return `a sparse file (pack it without --sparse): ${shown}`;
  if (type === undefined) return `an entry that is neither file, folder nor link (a sparse file or a volume label, for instance): ${shown}`;
  // Tar programs do not agree on whether bytes follow such a header.
  if (type !== 'file' && type !== 'pax-global-header' && (entry.size ?? 0) !== 0) return `a ${type} with content: ${shown}`;
  if (type === 'symlink' || type === 'link') {
    if (target === '' || target.startsWith('/')) return `a link that leaves the tree: ${shown} -> ${target}`;
    // A hard link names an entry, as that is named itself; a symbolic link leads on from its folder below the top.
    const from = type === 'symlink' ? posix.dirname(posix.normalize(name).split('/').slice(1).join('/')) : '';
    const reached = type === 'symlink' ? posix.normalize(posix.join(from, target)) : target;
    if (reached.split('/').includes('..')) return `a link that leaves the tree: ${shown} -> ${target}`;
    return undefined;
  }
  if (type === 'file' || type === 'directory' || type === 'pax-global-header') return undefined;
  return `${shown}, which is a ${type}`;
}

/**
 * Why the records of a global pax header make an archive unsafe; undefined where they do not. They would be for every entry that
 * follows, and the reader gives them only to those with a pax header of their own.
 */
export function unsafeGlobals(globals: Readonly<Record<string, string>>): string | undefined {
  const key = Object.keys(globals).find((name) => /^(path|linkpath|size|GNU\.sparse\..*)$/.test(name));
  return key === undefined ? undefined : `a global header that sets the ${key} of every entry`;
}
