import { Argument, type Command, type Option } from 'commander';
import { UsageError } from '../errors.ts';
import { planned, print } from './context.ts';
import { program } from './program.ts';

/**
 * Scripts that ask `pvgrub complete` for what may stand where the cursor is: one logic for all shells. Words go in as they
 * are typed; lines come out, each a word, or nothing where the shell's own names of files are right.
 */
const SCRIPTS: Record<string, string> = {
  bash: `_pvgrub() {
  local IFS=$'\n'
  COMPREPLY=($("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [[ \${COMPREPLY[0]} == */ || \${COMPREPLY[0]} == --*= ]] && compopt -o nospace
}
complete -o default -F _pvgrub pvgrub ./pvgrub`,
  zsh: `#compdef pvgrub
_pvgrub() {
  local -a found
  found=("\${(@f)$("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n \${found[1]} ]]; then compadd -a found; else _files; fi
}
if [[ $funcstack[1] == _pvgrub ]]; then _pvgrub "$@"; else compdef _pvgrub pvgrub; fi`,
  fish: `complete -c pvgrub -f -a '(set -l words (commandline -opc) (commandline -ct); $words[1] complete -- $words[2..-1] 2>/dev/null; or __fish_complete_path (commandline -ct))'`,
};

/** `pvgrub completion` */
export function completionCommand(shell: string): void {
  const script = SCRIPTS[shell];
  if (script === undefined)
    throw new UsageError('OPTION_INVALID', `no completion for ${shell}`, { expected: Object.keys(SCRIPTS).join(', ') });
  print(script);
}

/** Where in the command line words have come to. */
interface Place {
  command: Command;
  /** Words that are arguments of the command. */
  given: string[];
  /** The option whose value comes now. */
  value: Option | undefined;
}

function placeOf(words: readonly string[]): Place {
  let command: Command = program();
  const given: string[] = [];
  let value: Option | undefined;
  for (const word of words) {
    if (value) value = undefined;
    else if (word.startsWith('-')) {
      const option = command.options.find(({ long, short }) => word === long || word === short);
      value = option?.required && !word.includes('=') ? option : undefined;
    } else {
      const inner = given.length === 0 ? command.commands.find((one) => one.name() === word) : undefined;
      if (inner) command = inner;
      else given.push(word);
    }
  }
  return { command, given, value };
}

/** Words that mean cells, by what an argument is called. */
const CELLS = new Set(['selector', 'image', 'cell']);

/** What may stand in a place; an empty list where names of files are right. */
export async function candidates(words: readonly string[], cells: () => Promise<string[]>): Promise<string[]> {
  const last = words.at(-1) ?? '';
  const { command, given, value } = placeOf(words.slice(0, -1));
  const fitting = (list: readonly string[]) => list.filter((one) => one.startsWith(last));
  if (value) return fitting(value.argChoices ?? VALUES[value.long ?? ''] ?? []);
  if (last.startsWith('-'))
    return fitting(
      command.options
        .filter(({ hidden }) => !hidden)
        .flatMap(({ long }) => long ?? [])
        .concat('--help'),
    );
  if (command.commands.length > 0 && given.length === 0)
    return fitting(
      command
        .createHelp()
        .visibleCommands(command)
        .map((one) => one.name()),
    );
  const { registeredArguments: known } = command;
  const argument = known[given.length] ?? (known.at(-1)?.variadic ? known.at(-1) : undefined);
  if (!(argument instanceof Argument)) return [];
  if (command.name() === 'completion') return fitting(Object.keys(SCRIPTS));
  if (command.name() === 'clean') return fitting(['leftovers', 'kept', 'cache', 'images', 'store', 'setup', 'all']);
  return CELLS.has(argument.name()) ? fitting(await cells()) : [];
}

/** Values of options that have no choices of their own. */
const VALUES: Record<string, string[]> = {
  '--progress': ['auto', 'tty', 'plain', 'json', 'quiet'],
  '--engine': ['auto', 'private', 'unix://', 'tcp://', 'ssh://'],
  '--base': ['auto', 'mmdebstrap', 'store'],
};

/** `pvgrub complete`: exit code 1 where there is nothing. */
export async function completeCommand(words: string[]): Promise<void> {
  const found = await candidates(words, async () => (await planned([], {}, 'all')).cells.map(({ id }) => id));
  if (found.length > 0) return print(found.join('\n'));
  process.exitCode = 1;
}
