import { EngineError } from '../errors.ts';
import { createContainer, removeContainer, runContainer } from './container.ts';
import type { Engine } from './engine.ts';

/** What a short command in an image prints. @throws EngineError IMAGE_BUILD_FAILED where it fails */
export async function readOutput(
  engine: Engine,
  image: string,
  command: string[],
  labels: Record<string, string>,
  signal?: AbortSignal,
): Promise<string> {
  const limits = { memory: 512 * 2 ** 20, pids: 64 };
  const container = await createContainer(engine, { image, command, env: { LC_ALL: 'C' }, labels, limits });
  try {
    let text = '';
    const ended = await runContainer(container, {
      onOutput: ({ stream, data }) => {
        if (stream === 'stdout') text += data.toString('utf8');
      },
      timeoutMs: 60_000,
      signal,
    });
    if (ended.exitCode !== 0)
      throw new EngineError(
        'IMAGE_BUILD_FAILED',
        `the packages of the image cannot be listed (${command[0]} ended with ${ended.exitCode})`,
      );
    return text;
  } finally {
    await removeContainer(container);
  }
}

/** Read the package list out of an image by running dpkg-query in it: `package:arch=version`, sorted. */
export async function readPackages(engine: Engine, image: string, labels: Record<string, string>, signal?: AbortSignal): Promise<string[]> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
  const query = ['dpkg-query', '-W', '-f', '${db:Status-Abbrev}|${Package}:${Architecture}=${Version}\\n'];
  const installed = (await readOutput(engine, image, query, labels, signal)).split('\n').filter((line) => line.startsWith('ii'));
  return installed.map((line) => line.slice(line.indexOf('|') + 1)).sort((a, b) => (a < b ? -1 : 1));
}
