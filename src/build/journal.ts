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

/** A line's entry; undefined for one that was cut when the disk was full. */
function entryOf(line: string): JournalEntry | undefined {
  try {
    const entry = JSON.parse(line) as JournalEntry;
    return typeof entry.cell === 'string' ? entry : undefined;
  } catch {
    return undefined;
  }
}

async function entries(output: string): Promise<JournalEntry[]> {
  const text = (await ifThere(readFile(name(output), 'utf8'))) ?? '';
  return text.split('\n').flatMap((line) => entryOf(line) ?? []);
}

/** The last outcome of each cell; lines that are not whole are passed over. */
export async function lastOutcomes(output: string): Promise<Map<string, JournalEntry>> {
  return new Map((await entries(output)).map((entry) => [entry.cell, entry]));
}

/** How long each cell took when it was last built, in seconds. */
export async function lastSeconds(output: string): Promise<Map<string, number>> {
  const took = new Map<string, number>();
  for (const { cell, state, seconds } of await entries(output)) if (state === 'done' && seconds !== undefined) took.set(cell, seconds);
  return took;
}

/** Append one output folder's journal to another's; entries that are there already are left out. */
export async function appendJournal(from: string, output: string): Promise<void> {
  const lines = async (folder: string) =>
    ((await ifThere(readFile(name(folder), 'utf8'))) ?? '').split('\n').filter((line) => entryOf(line));
  const there = new Set(await lines(output));
  const fresh = (await lines(from)).filter((line) => !there.has(line));
  if (fresh.length === 0) return;
  await endCutLine(output);
  await appendFile(name(output), fresh.map((line) => `${line}\n`).join(''));
}
