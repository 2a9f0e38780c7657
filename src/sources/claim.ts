import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { besides, ifThere } from '../util/files.ts';
import { processStart } from '../util/process-start.ts';

/** Whether a mark is of a process that lives. One that is empty or anything else is of nobody. */
function isAlive(mark: string): boolean {
  const [, pid, start] = /^(\d+)\.(\d+)$/.exec(mark) ?? [];
  return pid !== undefined && processStart(Number(pid)) === start;
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
    for (let attempt = 0; attempt < 3; attempt++) {
      const mine = await link(aside, mark).then(
        () => true,
        (error: NodeJS.ErrnoException) => (error.code === 'EEXIST' ? false : Promise.reject(error)),
      );
      if (mine) return () => rm(mark, { force: true });
      const there = await ifThere(readFile(mark, 'utf8'));
      if (there === undefined) continue;
      if (isAlive(there)) return undefined;
      await bury(mark);
    }
    return undefined;
  } finally {
    await rm(aside, { force: true });
  }
}

/** Take away the mark of a process that is gone; one that somebody else has put in its place meanwhile goes back. */
async function bury(mark: string): Promise<void> {
  const grave = besides(mark);
  if (!(await ifThere(rename(mark, grave).then(() => true)))) return;
  if (isAlive(await readFile(grave, 'utf8'))) await link(grave, mark).catch(() => {});
  await rm(grave, { force: true });
}
