import { EngineError } from '../errors.ts';
import { createContainer, removeContainer, runContainer } from './container.ts';
import type { Engine } from './engine.ts';

/** Read the package list out of an image by running dpkg-query in it. */
export async function readPackages(engine: Engine, image: string, labels: Record<string, string>, signal?: AbortSignal): Promise<string[]> {
  const container = await createContainer(engine, {
    image,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
    command: ['dpkg-query', '-W', '-f', '${db:Status-Abbrev}|${Package}:${Architecture}=${Version}\\n'],
    env: { LC_ALL: 'C' },
    labels,
    limits: { memory: 512 * 2 ** 20, pids: 64 },
  });
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
        `the packages of the build image cannot be listed (dpkg-query ended with ${ended.exitCode})`,
      );
    const installed = text.split('\n').filter((line) => line.startsWith('ii'));
    return installed.map((line) => line.slice(line.indexOf('|') + 1)).sort((a, b) => (a < b ? -1 : 1));
  } finally {
    await removeContainer(container);
  }
}
