import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';

/** A Debian binary package as bytes (deb(5)): an ar archive with two tarballs. Pure: the same input gives the same bytes. */

/** A file of the package, or a symbolic link in it. */
export interface DebFile {
  /** Below the root, without a slash in front. */
  path: string;
  content?: Uint8Array;
  link?: string;
}

/** What makes a package. */
export interface DebInput {
  /** The control file's fields, in their order; Installed-Size is added. */
  control: Readonly<Record<string, string>>;
  files: readonly DebFile[];
  /** Time of all files. */
  date: Date;
}

/** Every folder above some paths, each before what is in it. */
function foldersOf(paths: readonly string[]): string[] {
  const folders = new Set<string>();
  for (const path of paths) for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) folders.add(path.slice(0, at));
  return [...folders].sort();
}

/** gzip(1) with -9n: no name, no time. */
export function gzip9n(bytes: Uint8Array): Buffer {
  return gzipSync(bytes, { level: 9 });
}

async function tarball(entries: (Partial<Header> & { name: string; content?: Uint8Array })[]): Promise<Buffer> {
  const tar = pack();
  const chunks: Buffer[] = [];
  const read = (async () => {
    for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  })();
  for (const { content, ...header } of entries)
    tar.entry({ uid: 0, gid: 0, uname: 'root', gname: 'root', ...header }, Buffer.from(content ?? []));
  tar.finalize();
  await read;
  return gzip9n(Buffer.concat(chunks));
}

/** One member of an ar archive: a header of 60 characters, the bytes, and one more where their number is odd. */
function member(name: string, bytes: Uint8Array, date: Date): Buffer {
  const field = (text: string | number, width: number) => String(text).padEnd(width);
  const seconds = Math.floor(date.getTime() / 1000);
  const header = `${field(name, 16)}${field(seconds, 12)}${field(0, 6)}${field(0, 6)}${field(100644, 8)}${field(bytes.length, 10)}\`\n`;
  return Buffer.concat([Buffer.from(header), bytes, Buffer.alloc(bytes.length % 2, '\n')]);
}

/** Put a package together. */
export async function debFile({ control, files, date }: DebInput): Promise<Buffer> {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const entries = [
    { name: './', type: 'directory' as const, mode: 0o755, mtime: date },
    ...foldersOf(sorted.map(({ path }) => path)).map((path) => ({
      name: `./${path}/`,
      type: 'directory' as const,
      mode: 0o755,
      mtime: date,
    })),
    ...sorted.map(({ path, content, link }) =>
      link === undefined
        ? { name: `./${path}`, type: 'file' as const, mode: 0o644, mtime: date, content: content ?? Buffer.alloc(0) }
        : { name: `./${path}`, type: 'symlink' as const, linkname: link, mode: 0o777, mtime: date },
    ),
  ];
  const regular = sorted.filter(({ link }) => link === undefined);
  const md5sums = regular
    .map(({ path, content = Buffer.alloc(0) }) => `${createHash('md5').update(content).digest('hex')}  ${path}\n`)
    .join('');
  // Each file in KiB, rounded up, and one for each folder and link (deb-substvars(5), Installed-Size).
  const kib = regular.reduce((sum, { content }) => sum + Math.ceil((content?.length ?? 0) / 1024), 0) + entries.length - regular.length;
  const { Description = '', ...rest } = control;
  const fields = Object.entries({ ...rest, 'Installed-Size': String(kib), Description }).map(([name, value]) => `${name}: ${value}\n`);
  const info = (name: string, content: string) => ({
    name: `./${name}`,
    type: 'file' as const,
    mode: 0o644,
    mtime: date,
    content: Buffer.from(content),
  });
  return Buffer.concat([
    Buffer.from('!<arch>\n'),
    member('debian-binary', Buffer.from('2.0\n'), date),
    member(
      'control.tar.gz',
      await tarball([
        { name: './', type: 'directory', mode: 0o755, mtime: date },
        info('control', fields.join('')),
        info('md5sums', md5sums),
      ]),
      date,
    ),
    member('data.tar.gz', await tarball(entries), date),
  ]);
}
