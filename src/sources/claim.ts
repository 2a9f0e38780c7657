import { readFile, rm, writeFile } from 'node:fs/promises';
import { ifThere } from '../util/files.ts';
import { processStart } from '../util/process-start.ts';

/**
 * Claim a partial file for this process, so that two runs never write into the same one. The mark of a process that
 * is gone does not count.
 * @returns a function that gives it back; undefined where another process that lives has it
 */
export async function claim(file: string): Promise<(() => Promise<void>) | undefined> {
  const mark = `${file}.owner`;
  const mine = `${process.pid}.${processStart(process.pid) ?? 0}`;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      await writeFile(mark, mine, { flag: 'wx' });
      return () => rm(mark, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const [pid, start] = ((await ifThere(readFile(mark, 'utf8'))) ?? '').split('.');
      if (processStart(Number(pid)) === start) return undefined;
      await rm(mark, { force: true });
    }
  }
  return undefined;
}
