import type { Command } from 'commander';
import { program } from './program.ts';

/** The reference of all commands as Markdown, from the command line itself: what `--help` says, with nothing of the terminal. Pure. */
export function reference(): string {
  const parts = [
    '# Commands',
    'Written by `npm run generate` from the command line itself; `pvgrub help <command>` says the same.',
    ...sections(program(), []),
  ];
  return `${parts.join('\n\n')}\n`;
}

function sections(command: Command, path: string[]): string[] {
  // A width of its own: the same text on every terminal.
  command.configureHelp({ helpWidth: 118 }).configureOutput({ getOutHelpWidth: () => 118, getOutHasColors: () => false });
  const here = [...path, command.name()];
  let text = '';
  const writeOut = (part: string) => {
    text += part;
  };
  command.configureOutput({ writeOut, getOutHelpWidth: () => 118, getOutHasColors: () => false });
  command.outputHelp();
  const own = [`${'#'.repeat(Math.min(2, here.length) + (here.length > 2 ? 1 : 0))} ${here.join(' ')}`, `\`\`\`\n${text.trim()}\n\`\`\``];
  const inner = command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== 'help');
  return [...(here.length === 1 ? own.slice(1) : own), ...inner.flatMap((one) => sections(one, here))];
}
