import { copyFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Listing, misfit, type Reads } from '../plan/toolchain-key.ts';
import { besides, ifThere, writeFileAtomic } from '../util/files.ts';
import { canonicalJson, sha256, sha256File } from '../util/hash.ts';

/** A toolchain that an earlier cell has made. */
export interface ToolchainEntry {
  schema: 1;
  id: string;
  /** The cell that made it. */
  cell: string;
  reads: Reads;
  archive: { sha256: string; size: number };
}

const ID = /^[0-9a-f]{32}$/;

/**
 * Toolchains by first key and by what was read: `<folder>/<key>/<id>.json`, and the archive beside it. What is not
 * whole, is not the one it says, or cannot be read counts as not there: the cell makes its own.
 */
export class ToolchainCache {
  readonly folder: string;
  constructor(folder: string) {
    this.folder = folder;
  }

  /** An entry that fits a cell, with the path of its archive, checked. One whose archive is damaged is removed. */
  async find(
    key: string,
    listing: Listing,
    from: { commands: string; folder: string },
  ): Promise<{ entry: ToolchainEntry; path: string } | undefined> {
    const folder = join(this.folder, key);
    for (const name of ((await ifThere(readdir(folder))) ?? []).filter((name) => name.endsWith('.json') && !name.startsWith('.')).sort()) {
      const entry = parseEntry(await readFile(join(folder, name), 'utf8'));
      if (!entry || misfit(entry.reads, listing, from) !== undefined) continue;
      const path = join(folder, `${entry.id}.tar.gz`);
      if ((await ifThere(sha256File(path))) === entry.archive.sha256) return { entry, path };
      await rm(join(folder, name), { force: true });
      await rm(path, { force: true });
    }
    return undefined;
  }

  /** Take in what a cell has made; `archive` is copied. */
  async add(key: string, cell: string, reads: Reads, archive: string): Promise<ToolchainEntry> {
    const id = sha256(canonicalJson(reads)).slice(0, 32);
    const folder = join(this.folder, key);
    await mkdir(folder, { recursive: true });
    await sweepParts(folder);
    const aside = besides(join(folder, `${id}.tar.gz`));
    try {
      await copyFile(archive, aside);
      const [digest, { size }] = await Promise.all([sha256File(aside), stat(aside)]);
      const entry: ToolchainEntry = { schema: 1, id, cell, reads, archive: { sha256: digest, size } };
      await rename(aside, join(folder, `${id}.tar.gz`));
      await writeFileAtomic(join(folder, `${id}.json`), `${JSON.stringify(entry)}\n`);
      return entry;
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
  }
}

/** How old a file that is being written must be before it counts as left by a run that was killed. */
const STALE_MS = 3_600_000;

async function sweepParts(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((name) => name.endsWith('.part'))) {
    const path = join(folder, name);
    const there = await ifThere(stat(path));
    if (there && Date.now() - there.mtimeMs > STALE_MS) await rm(path, { force: true });
  }
}

function parseEntry(text: string): ToolchainEntry | undefined {
  try {
    const entry = JSON.parse(text) as ToolchainEntry;
    const { schema, id, reads, archive } = entry;
    const whole = schema === 1 && ID.test(id) && typeof archive.sha256 === 'string' && typeof archive.size === 'number';
    return whole && typeof reads.files === 'object' && typeof reads.names === 'object' ? entry : undefined;
  } catch {
    return undefined;
  }
}
