import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metadata } from '../build/metadata.ts';
import { ReproduceError } from '../errors.ts';
import type { Cell } from '../plan/plan.ts';
import { which } from '../setup/host-tools.ts';
import { writeFileAtomic } from '../util/files.ts';
import { run } from '../util/process.ts';
import type { Outcome } from './cell.ts';
import { type Blame, differenceText } from './report.ts';

/** diffoscope takes its time over large differences. */
const DIFFOSCOPE_MS = 10 * 60_000;

/**
 * Keep both images, the log and all that explains the difference in `<output>/failed/`. That something cannot be kept is
 * a warning, and changes nothing of the answer.
 * @returns makes the error for it, once it is known what is to blame
 */
export async function keepDifference(
  cell: Cell,
  { image }: Metadata,
  first: Uint8Array,
  { findings, rebuilt, sha256 }: Outcome,
  { output, signal, warn }: { output: string; signal: AbortSignal; warn: (text: string) => void },
): Promise<(blame: Partial<Blame>) => Promise<ReproduceError>> {
  const folder = join(output, 'failed');
  const name = (suffix: string) => join(folder, `${cell.id}.${suffix}`);
  const tried = async (what: Promise<unknown>) => {
    await what.catch((error: Error) => {
      signal.throwIfAborted();
      warn(`${cell.id}: not all that explains it could be kept: ${error.message}`);
    });
  };
  const [one, other] = [name(`first-${image.file}`), name(`again-${image.file}`)];
  const tool = await which('diffoscope');
  await tried(
    (async () => {
      await mkdir(folder, { recursive: true });
      // Of an earlier run: they would explain another difference.
      for (const old of await readdir(folder))
        if (/^(first-|again|difference|diffoscope)/.test(old.slice(cell.id.length + 1)) && old.startsWith(`${cell.id}.`))
          await rm(join(folder, old));
      await writeFileAtomic(one, first);
      if (rebuilt.image) await writeFileAtomic(other, rebuilt.image);
      await writeFileAtomic(name('again.log'), rebuilt.log);
      await writeFileAtomic(name('difference.txt'), `${differenceText(findings, {})}\n`);
    })(),
  );
  if (tool && rebuilt.image) {
    const limits = ['--max-report-size', String(2 ** 22), '--max-text-report-size', String(2 ** 22)];
    const enough = AbortSignal.any([signal, AbortSignal.timeout(DIFFOSCOPE_MS)]);
    await tried(
      run(tool, [...limits, '--text', '-', one, other], { signal: enough }).then(({ stdout, stderr }) =>
        writeFileAtomic(name('diffoscope.txt'), stdout.length > 0 ? stdout : stderr),
      ),
    );
  }
  return async (blame) => {
    const text = differenceText(findings, blame);
    await tried(writeFileAtomic(name('difference.txt'), `${text}\n`));
    const report = tool ? "and diffoscope's report" : 'and with diffoscope installed also its report';
    return new ReproduceError(
      'NOT_REPRODUCIBLE',
      rebuilt.image ? `${cell.id} came out another image` : `${cell.id} could not be built again`,
      {
        expected: image.sha256,
        got: `${sha256 ?? 'no image'}\n${text}`,
        hint: `see ${name('*')}: ${rebuilt.image ? 'both images' : 'the image'}, the log, ${report}`,
      },
    );
  };
}
