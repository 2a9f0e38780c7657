import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { cellFolder, demandWhole, readMetadata } from '../src/build/artifacts.ts';
import { productRoot } from '../src/catalog/load.ts';
import { miniOsSource } from '../src/catalog/resolve.ts';
import { inRange } from '../src/catalog/version.ts';
import { planData } from '../src/cli/context.ts';
import { planMatrix } from '../src/plan/plan.ts';
import { addStatus, type Status, statusOf, statusPage, statusText } from './status-table.ts';

/**
 * Add the results of runs to docs/status.json, and write docs/status.md from it. Ends with 1 where a cell gave another
 * image than before from the same inputs. Each image is read: it must be the one of its metadata.
 *
 *   node scripts/status.ts [--docs DIR] [--mini-os WORDS] [artifacts folder]…
 *
 * --mini-os says what the Mini-OS of these folders was where its commit is known nowhere else.
 */

const { values, positionals } = parseArgs({
  options: { docs: { type: 'string' }, 'mini-os': { type: 'string' } },
  allowPositionals: true,
});
const docs = values.docs ?? join(productRoot, 'docs');
const data = planData();
const cells = planMatrix({ loaders: { 'pv-grub': { versions: ['*'] }, pvgrub2: { versions: ['*'] } }, include: [], exclude: [] }, data);

const file = join(docs, 'status.json');
let status: Status = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Status) : {};
for (const folder of positionals) {
  const shown: Status = {};
  for (const cell of cells) {
    const place = cellFolder(resolve(folder), cell);
    const metadata = await readMetadata(place);
    if (!metadata) continue;
    await demandWhole(place, metadata);
    shown[cell.id] = statusOf(metadata, values['mini-os']);
  }
  const { status: next, differing } = addStatus(status, shown, cells);
  for (const { id, was, is } of differing) {
    console.error(`${id}: the same inputs gave ${is}, and ${was} before`);
    process.exitCode = 1;
  }
  status = next;
  console.log(`${folder}: ${Object.keys(shown).length} cells`);
}

const wanting = new Map<string, string>();
for (const cell of cells) {
  const source = cell.loader === 'pv-grub' ? miniOsSource(data.catalog, cell.version) : undefined;
  if (!source || Object.keys(source.pins).length > 0) continue;
  const range = data.catalog.miniOs.ranges.find((entry) => inRange(cell.version, entry));
  wanting.set(
    cell.id,
    `These want Mini-OS ${range?.tag ?? ''}, whose commit is not known: no copy that could be reached has it. Images are of the Mini-OS that stands beside them`,
  );
}
writeFileSync(file, statusText(status));
writeFileSync(join(docs, 'status.md'), statusPage(cells, status, wanting));
