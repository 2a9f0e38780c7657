import type { Command } from 'commander';
import { program } from '../../src/cli/program.ts';

/** What a call of the command line is understood as. */
export interface Parsed {
  command: string;
  args: string[];
  options: Record<string, unknown>;
}

/** Let the command line parse arguments, and do nothing. @throws commander's error where it does not understand them */
export async function parsed(argv: readonly string[]): Promise<Parsed> {
  let found: Parsed | undefined;
  const quiet = (command: Command, path: string[]): void => {
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
    if (command.commands.length === 0)
      command.action(() => {
        found = { command: path.join(' '), args: command.args, options: command.opts() };
      });
    for (const inner of command.commands) quiet(inner, [...path, inner.name()]);
  };
  const pvgrub = program();
  quiet(pvgrub, []);
  await pvgrub.parseAsync(argv, { from: 'user' });
  if (!found) throw new Error(`no command: ${argv.join(' ')}`);
  return found;
}

/** Every call of ./pvgrub in a shell script, as arguments: variables stand for what `values` says of them. */
export function callsIn(script: string, values: Record<string, string>): string[][] {
  const lines = script.replaceAll('\\\n', ' ').split('\n');
  return lines.flatMap((line) => {
    const call = /(?:^|[\s(;&|])(?:\.\/)?pvgrub (.*)/.exec(line)?.[1];
    if (call === undefined || line.trimStart().startsWith('#')) return [];
    const words =
      call
        .split(/\s+(?:#|\||&&|>|2>)/)[0]
        ?.replace(/\)$/, '')
        .match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
    const meant = words.map((word) =>
      word.replace(/["']/g, '').replace(/\$\{?(\w+|@)\}?/g, (_whole, name: string) => {
        const value = values[name];
        if (value === undefined) throw new Error(`$${name} in "${line}" is not known`);
        return value;
      }),
    );
    return [meant];
  });
}
