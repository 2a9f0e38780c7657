import { formatBytes } from '../config/units.ts';
import { findEngine } from '../engine/find/find.ts';
import { errorData } from '../errors.ts';
import { HOST_TOOLS, which } from '../setup/host-tools.ts';
import { debianMirrors } from '../sources/origins/debian.ts';
import { type CommonOptions, print, printJson, settingsOf } from './context.ts';

/** `pvgrub doctor`: Node, engine, host tools, mirror. Exit code 4 where there is no engine. */
export async function doctorCommand(options: CommonOptions & { json?: boolean }): Promise<void> {
  const settings = await settingsOf(options);
  const engine = await findEngine(settings.engines[0]?.address ?? 'auto').catch((error: unknown) => errorData(error));
  const tools = await Promise.all(HOST_TOOLS.map(async (tool) => ({ ...tool, path: (await which(tool.command)) ?? null })));
  const mirrors = await debianMirrors(settings.debianMirror);
  const facts =
    'docker' in engine
      ? {
          endpoint: engine.endpoint,
          foundBy: engine.foundBy,
          name: engine.name,
          version: engine.version,
          apiVersion: engine.apiVersion,
          cores: engine.cores,
          memory: engine.memory,
        }
      : undefined;
  if (!facts) process.exitCode = 4;
  if (options.json) {
    printJson({ node: process.version, engine: facts ?? engine, tools, mirrors, output: settings.output, store: settings.store });
    return;
  }
  print(`node      ${process.version}`);
  if (facts)
    print(
      `engine    ${facts.name} ${facts.version} (API ${facts.apiVersion}), ${facts.foundBy}, ${facts.cores} cores, ${formatBytes(facts.memory)}`,
    );
  else
    print(
      `engine    none: ${'message' in engine ? engine.message : ''}\n          as root on Debian, \`pvgrub build\` sets up a private one`,
    );
  for (const { command, path, purpose, package: name } of tools)
    print(`${command.padEnd(9)} ${path ?? `missing (apt-get install ${name}), wanted for ${purpose}`}`);
  print(`mirrors   ${mirrors.join(' ') || 'none known: set debianMirror for the debian origin'}`);
  print(`store     ${settings.store}`);
  print(`output    ${settings.output}`);
}
