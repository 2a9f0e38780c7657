import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OutputError, UsageError } from '../errors.ts';
import { demandWhole, outputError, place, placedCells, stagingFolder, writeSums } from './artifacts.ts';
import { appendJournal } from './journal.ts';
import type { Metadata } from './metadata.ts';

/** What a merge did. */
export interface Merged {
  /** Ids of cells that were copied. */
  copied: string[];
  /** Ids of cells that were there already, with the same image. */
  same: string[];
}

/**
 * Join the results of shards: cell folders are copied into one output folder, each whole or not at all, journals are
 * joined, and SHA256SUMS is written anew. Nothing is written before all of it was checked.
 * @throws UsageError FILE_UNREADABLE for a folder without results; OutputError OUTPUT_DAMAGED, or OUTPUT_DIFFERS where
 *   two folders have different images of one cell
 */
export async function mergeOutputs(from: readonly string[], output: string): Promise<Merged> {
  const chosen = new Map<string, { folder: string; metadata: Metadata }>();
  const there = new Map((await placedCells(output)).map((cell) => [cell.metadata.id, cell]));
  for (const { folder, metadata } of there.values()) await demandWhole(folder, metadata);
  const merged: Merged = { copied: [], same: [] };
  for (const source of from) {
    const cells = await placedCells(source);
    if (cells.length === 0)
      throw new UsageError('FILE_UNREADABLE', `${source} has no results`, { hint: 'name folders that pvgrub build --out wrote' });
    for (const cell of cells) {
      const { id, image } = cell.metadata;
      await demandWhole(cell.folder, cell.metadata);
      const other = chosen.get(id) ?? there.get(id);
      if (other && other.metadata.image.sha256 !== image.sha256) {
        throw new OutputError('OUTPUT_DIFFERS', `two images of ${id} differ`, {
          expected: `${other.metadata.image.sha256} (${other.folder})`,
          got: `${image.sha256} (${cell.folder})`,
          hint: 'pvgrub matrix --why tells what went into each; leave one of the folders out',
        });
      }
      if (other) merged.same.push(id);
      else chosen.set(id, cell);
    }
  }
  try {
    const work = await stagingFolder(output, 'merge');
    try {
      for (const [id, { folder, metadata }] of chosen) {
        await cp(folder, join(work, id), { recursive: true });
        await place(join(work, id), output, metadata);
        merged.copied.push(id);
      }
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    for (const source of from) await appendJournal(source, output);
  } catch (error) {
    throw outputError(error, output);
  }
  await writeSums(output);
  return merged;
}
