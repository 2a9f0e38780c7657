import type { Command } from 'commander';
import { configOption, engineOption, enginesOption, jsonOption, outOption, storeOption, yesOption } from './options.ts';

/** The commands of who runs the pipeline: what the machine has, what can be freed, a look into a build, the shell's help. */
export function operatorCommands(pvgrub: Command): void {
  pvgrub
    .command('doctor')
    .description('tell what is there of what a plan needs, and what to do where it is not')
    .argument('[selector...]', 'globs over cell ids: the plan; the default cells if none')
    .addOption(outOption())
    .option('--offline', 'open no connection but to the engine')
    .addOption(jsonOption())
    .addOption(storeOption())
    .addOption(enginesOption())
    .addOption(configOption())
    .addHelpText(
      'after',
      "\nExample:\n  pvgrub doctor 'pv-grub-4.17'\n\nExit code 4 where no engine answers, 1 where something else is wrong.",
    )
    .action(async (selectors, options) => (await import('./doctor.ts')).doctorCommand(selectors, options));

  pvgrub
    .command('clean')
    .description('show what can be freed and how much; with names, free that')
    .argument('[what...]', 'leftovers, kept, cache, images, store, setup; or all, which is all but setup')
    .option('--out <dir>', 'folder of the results, for leftovers')
    .option('--cache-dir <dir>', 'folder of toolchains')
    .addOption(jsonOption())
    .addOption(storeOption())
    .addOption(enginesOption())
    .addOption(configOption())
    .addHelpText(
      'after',
      '\nNothing is removed that a run uses now, or that is not ours; results are never removed.\n\nExamples:\n  pvgrub clean\n  pvgrub clean leftovers cache',
    )
    .action(async (what, options) => (await import('./clean.ts')).cleanCommand(what, options));

  pvgrub
    .command('shell')
    .description('a shell in the build image, with the volume of a cell that failed under build --debug')
    .argument('<cell>', 'the id of the cell')
    .option('--no-setup', 'start nothing')
    .addOption(yesOption())
    .addOption(engineOption())
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  pvgrub build pv-grub-4.17.5-x86_64 --debug\n  pvgrub shell pv-grub-4.17.5-x86_64')
    .action(async (cell, options) => (await import('./shell.ts')).shellCommand(cell, options));

  pvgrub
    .command('completion')
    .description('print the completion for a shell: commands, options, their values, and cells')
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText(
      'after',
      '\nExamples:\n  eval "$(pvgrub completion bash)"                                     # in ~/.bashrc\n  eval "$(pvgrub completion zsh)"                                      # in ~/.zshrc\n  pvgrub completion fish > ~/.config/fish/completions/pvgrub.fish',
    )
    .action(async (shell) => (await import('./completion.ts')).completionCommand(shell));

  pvgrub
    .command('complete', { hidden: true })
    .description('what may stand at the end of these words, a line each')
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (words) => (await import('./completion.ts')).completeCommand(words));
}
