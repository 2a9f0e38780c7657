/**
 * The canonical form of a source tree as tar: GNU tar's format (its manual, "Basic Tar Format"), which GNU tar, bsdtar, busybox and
 * Python read alike. Longer names and other characters would need pax headers otherwise, which busybox does not read. Pure.
 */

/** One entry. Sizes are in bytes, names are UTF-8; that of a folder ends with a slash. */
export type TarEntry =
  | { name: string; kind: 'folder' }
  | { name: string; kind: 'link'; target: string }
  | { name: string; kind: 'file'; executable: boolean; size: number };

const BLOCK = 512;
/** Names and targets up to here fit the header. */
const FIELD = 100;

/**
 * The time of every entry: 2001-09-09, 01:46:40 UTC. One time for all, because make and autotools would run again what looks older
 * than what it was made from. Not 0, which tar programs take for a mistake.
 */
const TIME = 1_000_000_000;

const TYPES = { file: '0', link: '2', folder: '5', longName: 'L', longTarget: 'K' } as const;

function block(name: Buffer, type: keyof typeof TYPES, mode: number, size: number, target: Buffer): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number) => header.write(value.toString(8).padStart(digits, '0'), at, 'latin1');
  name.copy(header, 0, 0, FIELD);
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size, 124, 11);
  octal(TIME, 136, 11);
  header.write(' '.repeat(8), 148, 'latin1');
  header.write(TYPES[type], 156, 'latin1');
  target.copy(header, 157, 0, FIELD);
  header.write('ustar  \0', 257, 'latin1');
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  header[154] = 0;
  return header;
}

/** The entry before one whose name or target does not fit, which carries it. */
function long(type: 'longName' | 'longTarget', text: Buffer): Buffer[] {
  if (text.length <= FIELD) return [];
  const size = text.length + 1;
  return [block(Buffer.from('././@LongLink'), type, 0o644, size, Buffer.alloc(0)), text, Buffer.alloc(1), tarPadding(size)];
}

/** The header of an entry, with those for long names before it. The content of a file and its padding follow. */
export function tarHeader(entry: TarEntry): Buffer {
  const name = Buffer.from(entry.name);
  const target = Buffer.from(entry.kind === 'link' ? entry.target : '');
  const mode = entry.kind === 'link' ? 0o777 : entry.kind === 'folder' || entry.executable ? 0o755 : 0o644;
  const size = entry.kind === 'file' ? entry.size : 0;
  return Buffer.concat([...long('longTarget', target), ...long('longName', name), block(name, entry.kind, mode, size, target)]);
}

/** What fills the last block of content. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc(-size & (BLOCK - 1));
}

/** What ends a tar. */
export function endOfTar(): Buffer {
  return Buffer.alloc(2 * BLOCK);
}
