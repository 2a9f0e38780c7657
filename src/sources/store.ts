import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { SourceRef } from '../catalog/types.ts';
import { isDiskFull, SourceError } from '../errors.ts';
import { besides, ifThere, writeFileAtomic } from '../util/files.ts';
import { hashFile, sha256File } from '../util/hash.ts';
import { checkArchive } from './archive-check.ts';
import { type Format, headOf, sniffFormat } from './archive-format.ts';
import { writeCanonical } from './canonical.ts';
import { objectId, treeOfCommit } from './git-tree.ts';
import { mismatch, provedBy } from './pins.ts';

/** What the store knows of one tarball: beside the bytes, under the source's name and version. */
export interface SourceRecord {
  schema: 1;
  name: string;
  version: string;
  file: string;
  sha256: string;
  sha512: string;
  size: number;
  format: Format;
  top: string;
  /** Where it came from, without user names, passwords, query strings and inner paths. */
  origin: string;
  /** The raw git commit object (base64) whose tree the tarball holds: with it a commit id proves the bytes. */
  commitObject?: string;
}

/** A source that is in the store, and how it was proved; `proof` is undefined for a trusted one. */
export interface StoredSource {
  record: SourceRecord;
  path: string;
  proof: 'sha256' | 'sha512' | 'commit' | undefined;
}

/** What is said of a tarball that is to be taken in. */
export interface NewSource {
  ref: Pick<SourceRef, 'name' | 'version' | 'file' | 'pins'>;
  origin: string;
  /** The folder that must be at its top, where only that tells which release it is. */
  top?: string;
  /** The raw commit object, where the tarball was made from git. */
  commitObject?: Uint8Array | undefined;
  trusted: boolean;
}

/** What could make a terminal do or show something else: controls, and what changes the direction or is not seen. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const CACHEDIR_TAG = 'Signature: 8a477f597d28d172789f06886806bc55\n# This folder can be made again by `pvgrub sources fetch`.\n';

/** The content-addressed store of verified sources: `sha256/ab/<hex>`, and one small record for each. */
export class Store {
  readonly folder: string;
  constructor(folder: string) {
    this.folder = folder;
  }

  /** Where the bytes with this SHA-256 are, if they are there. */
  path(sha256: string): string {
    return join(this.folder, 'sha256', sha256.slice(0, 2), sha256);
  }

  /** The folder for downloads under way; partial files stay there to be resumed. */
  async incoming(): Promise<string> {
    const folder = join(this.folder, 'incoming');
    try {
      if (!(await ifThere(stat(join(this.folder, 'CACHEDIR.TAG'))))) {
        await mkdir(this.folder, { recursive: true });
        await writeFile(join(this.folder, 'CACHEDIR.TAG'), CACHEDIR_TAG);
      }
      await mkdir(folder, { recursive: true });
      await sweepParts(folder);
    } catch (error) {
      throw this.full(error);
    }
    return folder;
  }

  /** All records, sorted by name, version and checksum. Records whose bytes are gone are left out. */
  async list(): Promise<SourceRecord[]> {
    const root = join(this.folder, 'records');
    const records: SourceRecord[] = [];
    for (const source of ((await ifThere(readdir(root))) ?? []).sort()) {
      for (const name of (await readdir(join(root, source))).filter((entry) => entry.endsWith('.json') && !entry.startsWith('.')).sort()) {
        const record = parseRecord(await readFile(join(root, source, name), 'utf8'), `${source}/${name}`);
        if (await ifThere(stat(this.path(record.sha256)))) records.push(record);
      }
    }
    return records;
  }

  private async recordsOf(name: string, version: string): Promise<SourceRecord[]> {
    const folder = join(this.folder, 'records', `${name}@${version}`);
    const names = ((await ifThere(readdir(folder))) ?? []).filter((entry) => entry.endsWith('.json') && !entry.startsWith('.')).sort();
    return Promise.all(names.map(async (entry) => parseRecord(await readFile(join(folder, entry), 'utf8'), entry)));
  }

  /**
   * The stored tarball of a source that a pin proves; with `trusted` also one that nothing proves.
   * The bytes are not read again here: {@link check} does that.
   */
  async find(ref: Pick<SourceRef, 'name' | 'version' | 'pins'>, trusted: boolean): Promise<StoredSource | undefined> {
    const there: StoredSource[] = [];
    for (const record of await this.recordsOf(ref.name, ref.version)) {
      const path = this.path(record.sha256);
      if (!(await ifThere(stat(path)))) continue;
      there.push({ record, path, proof: provedBy(ref.pins, identityOf(record)) });
    }
    return there.find((entry) => entry.proof !== undefined) ?? (trusted ? there[0] : undefined);
  }

  /**
   * Read the bytes of a stored source again: they must have the checksum that they are stored under, and what its
   * record says beside that must be true where a build relies on it, because a pin is only as good as the checksum or
   * commit that it is compared with. (Another checksum, or a tree, of the same bytes was checked when they were taken in.)
   * @throws SourceError STORE_CORRUPT where they are not what the record says; they are taken out of the store then
   */
  async check({ record, path, proof }: StoredSource): Promise<void> {
    let lie: { expected: string; got: string } | undefined;
    const is: Partial<Record<'sha256' | 'sha512', string>> = proof === 'sha512' ? await hashFile(path) : { sha256: await sha256File(path) };
    for (const name of ['sha256', 'sha512'] as const)
      if (is[name] !== undefined && is[name] !== record[name]) lie ??= { expected: `${name} ${record[name]}`, got: `${name} ${is[name]}` };
    if (!lie && proof === 'commit' && record.commitObject !== undefined) {
      const expected = `tree ${treeOfCommit(Buffer.from(record.commitObject, 'base64'))}`;
      const got = await checkArchive(path, record.file).then(
        ({ tree }) => `tree ${tree}`,
        (error: Error) => error.message,
      );
      if (got !== expected) lie = { expected, got };
    }
    if (!lie) return;
    await this.remove(record);
    throw new SourceError('STORE_CORRUPT', `the stored ${record.file} has changed on disk; it was taken out of the store`, {
      ...lie,
      hint: 'run again to fetch it anew, and look after that disk',
    });
  }

  /** Take a source out of the store; one that is not there is fine. */
  async remove(record: SourceRecord): Promise<void> {
    await rm(join(this.folder, 'records', `${record.name}@${record.version}`, `${record.sha256}.json`), { force: true });
    await rm(this.path(record.sha256), { force: true });
  }

  /**
   * Check a tarball and take it in: its entries, its pins, and for one made from git that the commit holds just
   * this tree. The file is moved; on an error it is removed and the store is as it was.
   * @throws SourceError SOURCE_ARCHIVE_UNSAFE, SOURCE_ARCHIVE_BROKEN, SOURCE_MISMATCH, SOURCE_UNPINNED, STORE_DISK_FULL
   */
  async add(file: string, source: NewSource): Promise<StoredSource> {
    try {
      const { ref } = source;
      const hashes = await hashFile(file);
      // Pins before content: bytes that a checksum refuses are not even parsed.
      const commit = source.commitObject === undefined ? undefined : objectId('commit', source.commitObject);
      const proof = provedBy(ref.pins, { ...hashes, commit });
      if (proof === undefined && !source.trusted) throw mismatch(ref.name, ref.pins, { ...hashes, commit }, source.origin);
      // A commit is public: anybody can name it beside bytes that unpack to gigabytes. What we make of a tree is not compressed.
      if (commit !== undefined && sniffFormat(await headOf(file)) !== 'tar')
        throw new SourceError(
          'SOURCE_ARCHIVE_BROKEN',
          `${ref.file} from ${source.origin} is compressed, and claims to be a tree from git`,
          {
            hint: 'write the archive again with `pvgrub sources export`',
          },
        );
      const facts = await checkArchive(file, `${ref.file} from ${source.origin}`);
      if (source.top !== undefined && facts.top !== source.top) {
        throw new SourceError('SOURCE_MISMATCH', `${ref.file} from ${source.origin} is of another release`, {
          expected: `a folder ${source.top} at its top`,
          got: facts.top,
          hint: 'use another origin',
        });
      }
      if (source.commitObject !== undefined && treeOfCommit(source.commitObject) !== facts.tree) {
        throw new SourceError('SOURCE_MISMATCH', `${ref.name} from ${source.origin} does not hold the tree of its commit`, {
          expected: `tree ${treeOfCommit(source.commitObject)}`,
          got: `tree ${facts.tree}`,
          hint: 'the repository is damaged: run git fsck in it, or use another origin',
        });
      }
      const record: SourceRecord = {
        schema: 1,
        name: ref.name,
        version: ref.version,
        file: ref.file,
        ...hashes,
        format: facts.format,
        top: facts.top,
        origin: [...source.origin.replace(UNPRINTABLE, '?')].slice(0, 500).join(''),
        ...(source.commitObject === undefined ? {} : { commitObject: Buffer.from(source.commitObject).toString('base64') }),
      };
      await this.demandSame(record, commit);
      const path = this.path(hashes.sha256);
      await mkdir(join(this.folder, 'sha256', hashes.sha256.slice(0, 2)), { recursive: true });
      await rename(file, path);
      await writeFileAtomic(
        join(this.folder, 'records', `${ref.name}@${ref.version}`, `${hashes.sha256}.json`),
        `${JSON.stringify(record, null, 2)}\n`,
      );
      return { record, path, proof };
    } catch (error) {
      await rm(file, { force: true });
      throw this.full(error);
    }
  }

  /** A commit gives the same tarball each time: the checksum recorded at the first fetch is demanded ever after. */
  private async demandSame(record: SourceRecord, commit: string | undefined): Promise<void> {
    if (commit === undefined) return;
    for (const earlier of await this.recordsOf(record.name, record.version)) {
      if (identityOf(earlier).commit === commit && earlier.sha256 !== record.sha256) {
        throw new SourceError('SOURCE_MISMATCH', `${record.name} at git commit ${commit} gave other bytes than before`, {
          expected: `sha256 ${earlier.sha256}`,
          got: `sha256 ${record.sha256}`,
          hint: 'remove the earlier one from the store only if you know why they differ',
        });
      }
    }
  }

  private full(error: unknown): unknown {
    if (!isDiskFull(error)) return error;
    return new SourceError('STORE_DISK_FULL', `no room left for the store in ${this.folder}`, {
      hint: 'make room there, or give another folder with --store or PVGRUB_STORE',
      cause: error,
    });
  }
}

/**
 * Write a stored source anew in the canonical form that build containers get (see {@link writeCanonical}).
 * @param ref the source as the recipe names it
 * @param trees further git tree ids that folders of it must have where it has them
 * @returns a temporary file, to be removed by the caller
 * @throws SourceError what {@link writeCanonical} throws, STORE_DISK_FULL
 */
export async function canonicalFile(
  { record, path, proof }: StoredSource,
  ref: Pick<SourceRef, 'top' | 'within'>,
  trees: Readonly<Record<string, string>> = {},
): Promise<{ path: string; size: number }> {
  const incoming = join(dirname(path), '..', '..', 'incoming');
  const to = besides(join(incoming, record.file));
  const own = proof === 'commit' ? treeOfStored(record) : undefined;
  try {
    await mkdir(incoming, { recursive: true });
    const size = await writeCanonical(path, to, {
      name: `${record.name} ${record.version}`,
      sha256: record.sha256,
      top: ref.top,
      // A folder or repository of the user's own has the part alone.
      folder: proof === undefined ? undefined : ref.within?.folder,
      trees: own === undefined ? trees : { ...trees, '': own },
    });
    return { path: to, size };
  } catch (error) {
    if (isDiskFull(error))
      throw new SourceError('STORE_DISK_FULL', `no room left in ${incoming}`, { hint: 'make room there', cause: error });
    throw error;
  }
}

/** The git tree that a record's commit names. */
export function treeOfStored({ commitObject }: SourceRecord): string | undefined {
  return commitObject === undefined ? undefined : treeOfCommit(Buffer.from(commitObject, 'base64'));
}

/** The commit that a record proves, by its raw commit object. */
export function identityOf(record: SourceRecord): { sha256: string; sha512: string; commit: string | undefined } {
  const commit = record.commitObject === undefined ? undefined : objectId('commit', Buffer.from(record.commitObject, 'base64'));
  return { sha256: record.sha256, sha512: record.sha512, commit };
}

/**
 * Parse a record, also one from another machine.
 * @throws SourceError STORE_CORRUPT where a member is missing or of the wrong form
 */
export function parseRecord(text: string, where: string): SourceRecord {
  try {
    const record = JSON.parse(text) as SourceRecord;
    const has = (value: unknown, form: RegExp) => typeof value === 'string' && form.test(value);
    const plainName = (value: unknown) => has(value, /^[A-Za-z0-9][A-Za-z0-9._+-]*$/);
    const right =
      record.schema === 1 &&
      plainName(record.name) &&
      plainName(record.version) &&
      plainName(record.file) &&
      has(record.sha256, /^[0-9a-f]{64}$/) &&
      has(record.sha512, /^[0-9a-f]{128}$/) &&
      Number.isSafeInteger(record.size) &&
      record.size >= 0 &&
      has(record.format, /^(tar|gzip|bzip2|xz)$/) &&
      has(record.top, /^(?!\.{1,2}$)[^/]+$/) &&
      has(record.origin, /^.{0,500}$/su) &&
      record.origin.search(UNPRINTABLE) < 0 &&
      (record.commitObject === undefined || has(record.commitObject, /^[A-Za-z0-9+/]+={0,2}$/));
    if (!right) throw new Error('a member is missing or of the wrong form');
    return record;
  } catch (error) {
    throw new SourceError('STORE_CORRUPT', `the record ${where} cannot be used: ${(error as Error).message}`, {
      hint: 'remove it, and fetch the source again',
    });
  }
}

/** A day: no run takes longer over one file. */
const OLD_MS = 24 * 60 * 60_000;

/** Remove what killed runs left half-made. Cut downloads, which the next run resumes, have other names. */
async function sweepParts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!/^\..*\.part$/.test(name)) continue;
    const path = join(folder, name);
    const there = await ifThere(stat(path));
    if (there && Date.now() - there.mtimeMs > OLD_MS) await rm(path, { force: true });
  }
}
