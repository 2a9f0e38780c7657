import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

// Tests keep their caches and state to themselves: each file gets folders of its own. The engine's data stays where
// `npm test` put it, so that the build image is made once.
const folder = mkdtempSync(join(tmpdir(), 'pvgrub-test-'));
process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
process.env['XDG_STATE_HOME'] = join(folder, 'state');
for (const name of Object.keys(process.env)) {
  if (name.startsWith('PVGRUB_') && !name.startsWith('PVGRUB_TEST_')) delete process.env[name];
}
afterAll(() => rmSync(folder, { recursive: true, force: true }));
