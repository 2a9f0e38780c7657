import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A new folder that is removed when all tests of a file have ended. */
export function lastingFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-unit-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
