#!/usr/bin/env node
import { type Command, CommanderError } from 'commander';
import { EXIT, errorData, errorText, exitCode, ForgeError } from '../errors.ts';
import { program } from './program.ts';
import './secrets.ts';

/** Run the command line. Gives the exit code; prints errors to stderr. */
export async function main(argv: readonly string[]): Promise<number> {
  const pvgrub = program();
  const exits = (command: Command): void => {
    command.exitOverride();
    for (const inner of command.commands) exits(inner);
  };
  exits(pvgrub);
  try {
    await pvgrub.parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (error instanceof ForgeError) {
      process.stderr.write(`pvgrub: ${errorText(error)}\n`);
      if (process.env['GITHUB_ACTIONS'] === 'true')
        process.stderr.write(`${(await import('../report/github.ts')).errorAnnotation(errorData(error))}\n`);
      return exitCode(error);
    }
    process.stderr.write(`pvgrub: this is a fault in pvgrub-forge, please report it:\n${(error as Error)?.stack ?? String(error)}\n`);
    return EXIT.someFailed;
  }
}

// A closed pipe (pvgrub matrix | head) is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
});
process.exitCode = await main(process.argv.slice(2));
