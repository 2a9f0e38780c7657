import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { besides, ifThere } from '../util/files.ts';
import { processStart } from '../util/process-start.ts';

/** Whether a mark is of a process that lives. One that is empty or anything else is of nobody. */
function isAlive(mark: string): boolean {
  const [, pid, start] = /^(\d+)\.(\d+)$/.exec(mark) ?? [];
  return pid !== undefined && processStart(Number(pid)) === start;
}

/** Give a file another name, if that name is free. */
async function linked(aside: string, mark: string): Promise<boolean> {
  return link(aside, mark).then(
    () => true,
    (error: NodeJS.ErrnoException) => (error.code === 'EEXIST' ? false : Promise.reject(error)),
  );
}

/**
 * Claim a file or folder for this process, so that two runs never write into the same one. The mark of a process that
 * is gone does not count.
 * @returns a function that gives it back; undefined where another process that lives has it
 */
export async function claim(file: string): Promise<(() => Promise<void>) | undefined> {
  const mark = `${file}.owner`;
  const aside = besides(mark);
  try {
    // Whole before it is seen.
    await writeFile(aside, `${process.pid}.${processStart(process.pid) ?? 0}`, { flag: 'wx' });
    for (let attempt = 0; attempt < 200; attempt++) {
      if (await linked(aside, mark)) return () => rm(mark, { force: true });
      const there = await ifThere(readFile(mark, 'utf8'));
      if (there === undefined) continue;
      if (isAlive(there)) return undefined;
      if (!(await bury(mark, aside))) await sleep(5);
    }
    return undefined;
  } finally {
    await rm(aside, { force: true });
  }
}

/**
 * Take away the mark of a process that is gone. One at a time does that, and looks again before: else the second one would
 * take away the mark that the first one has put in its place.
 * @returns false where another process is at it
 */
async function bury(mark: string, aside: string): Promise<boolean> {
  const turn = `${mark}.turn`;
  if (!(await linked(aside, turn))) {
    const holder = await ifThere(readFile(turn, 'utf8'));
    if (holder !== undefined && !isAlive(holder)) await rm(turn, { force: true });
    return false;
  }
  try {
    const there = await ifThere(readFile(mark, 'utf8'));
    if (there !== undefined && !isAlive(there)) await rm(mark, { force: true });
    return true;
  } finally {
    await rm(turn, { force: true });
  }
}
