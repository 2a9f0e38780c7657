import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadCatalog, productRoot } from '../src/catalog/load.ts';
import { grub2Source, knownVersions, miniOsSource, xenSource } from '../src/catalog/resolve.ts';
import type { SourceRef } from '../src/catalog/types.ts';
import { inRange } from '../src/catalog/version.ts';
import { settle } from '../src/config/settings.ts';
import { errorText } from '../src/errors.ts';
import { applyEdits, editDigest, editedFiles, loadEdits } from '../src/recipes/edits.ts';
import type { Edit, Loader } from '../src/recipes/types.ts';
import { readTarFiles } from '../src/sources/archive-read.ts';
import { ensureSource } from '../src/sources/fetch.ts';
import { Store } from '../src/sources/store.ts';
import { sha256 } from '../src/util/hash.ts';

/**
 * See for each edit that it matches in the first and the last release of its range, and write down in the edit what
 * was seen: the edit's digest and the SHA-256 of each file it changes. Takes --origin and --store as `pvgrub build` does.
 *
 *   node scripts/edits-seen.ts [--origin xen=git:/srv/mirror/xen.git]… [--store DIR] [edit…]
 */

const { values, positionals } = parseArgs({
  options: { origin: { type: 'string', multiple: true }, store: { type: 'string' } },
  allowPositionals: true,
});
const catalog = loadCatalog();
const cwd = process.cwd();
const settings = settle({ config: {}, overrides: { origins: values.origin, store: values.store }, env: process.env, cwd });
const store = new Store(settings.store);

function sourceOf(edit: Edit, version: string): SourceRef | undefined {
  if (edit.source === 'xen') return xenSource(catalog, version);
  if (edit.source === 'mini-os') return miniOsSource(catalog, version);
  if (edit.source === 'grub2') return grub2Source(catalog, version).source;
  throw new Error(`${edit.id}: no source ${edit.source}`);
}

async function see(edit: Edit, version: string): Promise<Record<string, string>> {
  const ref = sourceOf(edit, version);
  if (!ref) throw new Error(`${edit.id}: ${version} has no ${edit.source}`);
  const { path } = await ensureSource(ref, { store, settings, cwd });
  const { changed, created } = editedFiles(edit);
  const files = await readTarFiles(path, new Set([...changed, ...created]));
  applyEdits([edit], files);
  return Object.fromEntries(changed.map((name) => [name, sha256(files.get(name) as Buffer)]));
}

let failed = 0;
for (const loader of ['pv-grub', 'pvgrub2'] as Loader[]) {
  const folder = join(productRoot, 'edits', loader);
  const known = knownVersions(catalog, loader);
  const names = readdirSync(folder);
  for (const edit of loadEdits(folder)) {
    if (positionals.length > 0 && !positionals.includes(edit.id)) continue;
    const covered = known.filter((version) => inRange(version, edit));
    const ends = [...new Set([covered[0], covered.at(-1)])].filter((version) => version !== undefined);
    try {
      const seen: Record<string, Record<string, string>> = {};
      for (const version of ends) seen[version] = await see(edit, version);
      const next = { ...edit, seen: { edit: editDigest(edit), in: seen } };
      const name = names.find((entry) => entry === `${edit.id}.json`) as string;
      writeFileSync(join(folder, name), `${JSON.stringify(next, null, 2)}\n`);
      console.log(`${edit.id}: seen in ${ends.join(' and ')}`);
    } catch (error) {
      failed++;
      console.error(`${edit.id}: ${errorText(error)}`);
    }
  }
}
process.exitCode = failed > 0 ? 1 : 0;
