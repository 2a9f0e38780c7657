/** Reading Debian's archive indices (deb822 form; wiki.debian.org/DebianRepository/Format). Pure. */

/** One file as a Release or Sources index lists it. */
export interface IndexedFile {
  sha256: string;
  size: number;
  name: string;
}

/** The fields of one stanza; a folded field keeps its lines, joined with newlines. */
function parseStanza(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  let last: string | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (last !== undefined) fields.set(last, `${fields.get(last) ?? ''}\n${line.trim()}`);
    } else {
      const colon = line.indexOf(':');
      if (colon < 1) continue;
      last = line.slice(0, colon);
      fields.set(last, line.slice(colon + 1).trim());
    }
  }
  return fields;
}

/** The lines "hash size name" of a Checksums-Sha256 or SHA256 field. */
export function indexedFiles(field: string | undefined): IndexedFile[] {
  return (field ?? '').split('\n').flatMap((line) => {
    const match = /^([0-9a-f]{64})\s+(\d+)\s+(\S+)$/.exec(line.trim());
    return match ? [{ sha256: match[1] as string, size: Number(match[2]), name: match[3] as string }] : [];
  });
}

/** What a Release file says. */
export interface ReleaseIndex {
  /** Such as `unstable`, where the codename is `sid`; a suite can be asked for by either. */
  suite: string;
  codename: string;
  files: Map<string, IndexedFile>;
  byHash: boolean;
  /** Milliseconds since 1970; undefined where the release does not expire. */
  validUntil: number | undefined;
}

/** A Release file's content, its signature already taken off. */
export function parseRelease(text: string): ReleaseIndex {
  const fields = parseStanza(text);
  const until = fields.get('Valid-Until');
  return {
    suite: fields.get('Suite') ?? '',
    codename: fields.get('Codename') ?? '',
    files: new Map(indexedFiles(fields.get('SHA256')).map((file) => [file.name, file])),
    byHash: fields.get('Acquire-By-Hash') === 'yes',
    validUntil: until === undefined ? undefined : Date.parse(until),
  };
}

/** A file of a source package, and where it is. */
export interface SourcePackageFile extends IndexedFile {
  version: string;
  /** Folder below the mirror's base. */
  directory: string;
}

/** Every entry of a file of a source package in a Sources index (one for each version that uses it). */
export function findSourceFile(sources: string, packageName: string, fileName: string): SourcePackageFile[] {
  const found: SourcePackageFile[] = [];
  const head = `Package: ${packageName}\n`;
  // Parsing only the stanzas that can match: an index has some 60 MB.
  for (let at = sources.startsWith(head) ? 0 : sources.indexOf(`\n${head}`); at >= 0; at = sources.indexOf(`\n${head}`, at + 1)) {
    const gap = sources.lastIndexOf('\n\n', at);
    const end = sources.indexOf('\n\n', at + 1);
    const fields = parseStanza(sources.slice(at === 0 || gap < 0 ? 0 : gap + 2, end < 0 ? sources.length : end));
    if (fields.get('Package') !== packageName) continue;
    const file = indexedFiles(fields.get('Checksums-Sha256')).find((entry) => entry.name === fileName);
    const directory = fields.get('Directory');
    if (file && directory) found.push({ ...file, version: fields.get('Version') ?? '', directory });
  }
  return found;
}
