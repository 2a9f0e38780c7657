import { styleText } from 'node:util';
import { type Finding, failure, ok } from '../doctor/finding.ts';
import { diskFindings, engineFindings, networkFindings, nodeFinding, toolFindings } from '../doctor/look.ts';
import { EXIT, errorData } from '../errors.ts';
import { type CommonOptions, planned, print, printJson } from './context.ts';
import { signingKey } from './passphrase.ts';
import { secrets } from './secrets.ts';

/** `pvgrub doctor`: what is there of what a plan needs. Exit code 4 where an engine is missing, 1 where something else is wrong. */
export async function doctorCommand(selectors: string[], options: CommonOptions & { json?: boolean }): Promise<void> {
  const { settings, cells } = await planned(selectors, options, 'default');
  const findings: Finding[] = [
    nodeFinding(),
    ...(await engineFindings(settings, cells.length)),
    ...(await diskFindings(settings, cells)),
    ...(await networkFindings(settings, cells, Date.now)),
    await keyFinding(),
    ...(await toolFindings()),
  ];
  const wrong = findings.filter(({ level }) => level === 'error');
  if (wrong.length > 0) process.exitCode = wrong.some(({ name }) => name === 'engine') ? EXIT.engine : EXIT.someFailed;
  if (options.json) return printJson({ cells: cells.map(({ id }) => id), findings });
  const colours = { ok: 'green', warning: 'yellow', error: 'red' } as const;
  print(
    `for ${cells.length} ${cells.length === 1 ? 'cell' : 'cells'}: ${cells
      .slice(0, 3)
      .map(({ id }) => id)
      .join(' ')}${cells.length > 3 ? ' …' : ''}\n`,
  );
  for (const { name, level, said, hint } of findings) {
    print(`${styleText(colours[level], level.padEnd(7))}  ${name.padEnd(11)}  ${said}`);
    if (hint !== undefined) print(`${' '.repeat(22)}try: ${hint}`);
  }
}

/** The key in the environment, which only signing needs. */
async function keyFinding(): Promise<Finding> {
  if (!secrets['PVGRUB_KEY']) return ok('key', 'none in PVGRUB_KEY; only attest and publish need one');
  try {
    const key = await signingKey(undefined, () => {});
    return ok('key', `${key.public.id}, in PVGRUB_KEY`);
  } catch (error) {
    const { message, hint } = errorData(error);
    return failure('key', message, hint ?? 'pvgrub key generate makes one');
  }
}
