import { type Kept, keptOn, shellIn } from '../engine/kept.ts';
import { UsageError } from '../errors.ts';
import { renderer } from '../report/render.ts';
import { type CommonOptions, settingsOf } from './context.ts';
import { type SetupFlags, withEngines } from './engines.ts';

/** `pvgrub shell`: a shell in the build image, with the volume of a cell that failed under build --debug. Exits as the shell does. */
export async function shellCommand(cell: string, options: CommonOptions & SetupFlags): Promise<void> {
  const settings = await settingsOf(options);
  await withEngines(settings, options, renderer('plain'), async (engines) => {
    const all: string[] = [];
    for (const { engine } of engines) {
      const kept: Kept[] = await keptOn(engine);
      const found = kept.find((one) => one.cell === cell);
      if (found) {
        process.stderr.write('/cell/src has the sources, /cell/in/build.sh the build; exit ends the shell, and the volume stays\n');
        process.exitCode = await shellIn(engine, found, { input: process.stdin, output: process.stdout });
        return;
      }
      all.push(...kept.map((one) => one.cell));
    }
    throw new UsageError('SELECTOR_NO_MATCH', `nothing is kept of ${cell}`, {
      expected: all.length > 0 ? `one of ${all.join(', ')}` : 'a cell that failed under pvgrub build --debug',
      hint: `pvgrub build ${cell} --debug`,
    });
  });
}
