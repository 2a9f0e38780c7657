import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Event } from '../report/events.ts';
import { ifThere } from '../util/files.ts';

/** One outcome of a cell, as a line of `journal.jsonl` in the output folder. */
export interface JournalEntry {
  time: string;
  run: string;
  cell: string;
  state: 'started' | 'done' | 'failed';
  seconds?: number;
  sha256?: string;
  code?: string;
  message?: string;
}

const name = (output: string) => join(output, 'journal.jsonl');

/** End a line that was cut when a disk was full, so that the next entry is not written onto its rest. */
async function endCutLine(output: string): Promise<void> {
  const last = (await ifThere(readFile(name(output))))?.at(-1);
  if (last !== undefined && last !== 0x0a) await appendFile(name(output), '\n');
}

/**
 * Listens to a run and appends what became of each cell. A line is short and written in one piece, so that a killed
 * run leaves whole lines only. `done` settles when all is written.
 */
export function journal(output: string, run: string, now: () => Date): { listen: (event: Event) => void; done: () => Promise<void> } {
  let writing: Promise<unknown> = endCutLine(output).catch(() => {});
  const add = (entry: Omit<JournalEntry, 'time' | 'run'>) => {
    const line = `${JSON.stringify({ time: now().toISOString(), run, ...entry })}\n`;
    // The journal helps the next run; a full disk must not fail this one because of it.
    writing = writing
      .then(() => mkdir(output, { recursive: true }))
      .then(() => appendFile(name(output), line))
      .catch(() => {});
  };
  return {
    listen: (event) => {
      if (event.type === 'cell-started') add({ cell: event.cell, state: 'started' });
      if (event.type === 'cell-done') add({ cell: event.cell, state: 'done', seconds: Math.round(event.ms / 1000), sha256: event.sha256 });
      if (event.type === 'cell-failed') add({ cell: event.cell, state: 'failed', code: event.error.code, message: event.error.message });
    },
    done: async () => {
      await writing;
    },
  };
}

/** The last outcome of each cell; lines that are not whole are passed over. */
export async function lastOutcomes(output: string): Promise<Map<string, JournalEntry>> {
  const outcomes = new Map<string, JournalEntry>();
  for (const line of ((await ifThere(readFile(name(output), 'utf8'))) ?? '').split('\n')) {
    try {
      const entry = JSON.parse(line) as JournalEntry;
      if (typeof entry.cell === 'string') outcomes.set(entry.cell, entry);
    } catch {
      // A line that was cut when the disk was full.
    }
  }
  return outcomes;
}
