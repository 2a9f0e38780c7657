import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findEngine } from '../src/engine/find/find.ts';
import { isDebian, readyEngine } from '../src/setup/setup.ts';
import { installJudges } from '../test/support/judges.ts';

/**
 * `npm test`: all tests. Integration tests need an engine: as root on Debian, or with CI=true, a private one is set up
 * for them and stopped afterwards; elsewhere the one that answers is used; without one they are skipped, loudly.
 * Arguments go to vitest.
 */

const root = join(import.meta.dirname, '..');
const say = (text: string) => process.stderr.write(`${text}\n`);
const ownEngine = (process.getuid?.() === 0 && (await isDebian())) || process.env['CI'] === 'true';

async function engine(): Promise<{ endpoint: string | undefined; release: () => Promise<void> }> {
  if (ownEngine) {
    const ready = await readyEngine({ wanted: 'private', allowed: true, yes: true, say });
    return { endpoint: ready.engine.endpoint, release: ready.release };
  }
  const found = await findEngine('auto').catch(() => undefined);
  return { endpoint: found?.endpoint, release: async () => {} };
}

/** How many integration tests there are, for the warning: each is written as `test(` or `it(` at the start of a line. */
function integrationTests(): number {
  const folder = join(root, 'test/integration');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
  return files.reduce(
    (sum, name) => sum + (readFileSync(join(folder, name), 'utf8').match(/^\s*(?:test|it)(?:\.each\(.*\))?\(/gm)?.length ?? 0),
    0,
  );
}

const { endpoint, release } = await engine();
if (ownEngine) installJudges();
// Ctrl-C reaches vitest by itself; this process stays to stop the engine.
process.on('SIGINT', () => {});
const skipping = endpoint === undefined ? integrationTests() : 0;
const warn = () => {
  if (skipping > 0)
    say(
      `\n*** ${skipping} INTEGRATION TESTS SKIPPED: no container engine answers. Start Docker or Podman, or run as root on Debian. ***\n`,
    );
};
warn();
try {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const project = endpoint === undefined ? ['--project', 'unit'] : [];
  const child = spawn(process.execPath, [vitest, 'run', ...project, ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...(endpoint === undefined ? {} : { PVGRUB_TEST_ENGINE: endpoint }) },
  });
  const [code] = (await once(child, 'close')) as [number | null];
  process.exitCode = code ?? 1;
} finally {
  await release();
  warn();
}
