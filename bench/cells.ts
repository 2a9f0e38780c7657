import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Metadata } from '../src/build/metadata.ts';
import { type CommonOptions, planned } from '../src/cli/context.ts';
import { withEngine } from '../src/cli/engines.ts';
import { ensureBuildImage } from '../src/engine/build-image.ts';
import { ownerLabels, thisOwner } from '../src/engine/labels.ts';
import { Shelf } from '../src/engine/shelf.ts';
import type { Cell } from '../src/plan/plan.ts';
import type { Event } from '../src/report/events.ts';
import { sourceEvents } from '../src/report/source-events.ts';
import { table } from '../src/report/table.ts';
import { ensureSource } from '../src/sources/fetch.ts';
import { Store, type StoredSource } from '../src/sources/store.ts';
import { median } from './median.ts';
import { PlainCell } from './plain-cell.ts';

/**
 * `npm run bench -- cells [--origin NAME=…] [--trust NAME] [--engine …] [cell…]`: builds beside the plain way, which is
 * a loop over one container a cell with the same image and the same `make -j` in it. Images are compared.
 */

const CELLS = ['4.2.5', '4.4.4', '4.6.6', '4.17.5'].flatMap((version) => ['x86_64', 'x86_32'].map((arch) => `pv-grub-${version}-${arch}`));
const launcher = join(import.meta.dirname, '../pvgrub');

interface Run {
  seconds: number;
  /** The orchestrator's process, in cores, while cells were built. */
  cpu: number;
  built: Map<string, Metadata>;
}

/** `pvgrub build` as a user calls it, with an empty output folder. */
async function build(cells: readonly Cell[], cache: string, flags: readonly string[]): Promise<Run> {
  const out = await mkdtemp(join(tmpdir(), 'pvgrub-bench-out-'));
  try {
    const args = ['build', ...cells.map(({ id }) => id), '--out', out, '--cache-dir', cache, '--progress', 'json', ...flags];
    const from = performance.now();
    const child = spawn(launcher, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk;
    });
    const [code] = (await once(child, 'close')) as [number];
    const seconds = (performance.now() - from) / 1000;
    if (code !== 0) throw new Error(`pvgrub build ended with ${code}:\n${said}`);
    const last = JSON.parse(said.trimEnd().split('\n').at(-1) ?? '{}') as Extract<Event, { type: 'run-finished' }>;
    const built = new Map<string, Metadata>();
    for (const { id, loader, version, arch } of cells)
      built.set(id, JSON.parse(await readFile(join(out, loader, version, arch, 'metadata.json'), 'utf8')) as Metadata);
    return { seconds, cpu: (last.building?.cpuMs ?? 0) / (last.building?.ms ?? 1), built };
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** Read the flags that `pvgrub build` knows, too. */
function options(args: readonly string[]): { selectors: string[]; common: CommonOptions; flags: string[] } {
  const common: CommonOptions = {};
  const selectors: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    if (arg === '--origin') common.origin = [...(common.origin ?? []), args[++i] as string];
    else if (arg === '--trust') common.trust = [...(common.trust ?? []), args[++i] as string];
    else if (arg === '--engine') common.engine = [...(common.engine ?? []), args[++i] as string];
    else selectors.push(arg);
  }
  const flags = args.filter((arg) => !selectors.includes(arg));
  return { selectors: selectors.length > 0 ? selectors : CELLS, common, flags };
}

export async function run(args: string[]): Promise<void> {
  const { selectors, common, flags } = options(args);
  const { settings, cells } = await planned(selectors, common, 'default');
  const jobs = availableParallelism();
  await withEngine(settings, { setup: true, yes: true }, say, async (engine, signal) => {
    const labels = ownerLabels(thisOwner('bench'));
    const image = await ensureBuildImage(engine, { settings, labels, signal, say: () => {} });
    const shelf = new Shelf(engine, image.id, labels, (text) => process.stderr.write(`${text}\n`));
    const store = new Store(settings.store);
    const fetching = { store, settings, cwd: process.cwd(), signal, events: sourceEvents(() => {}) };
    const cache = await mkdtemp(join(tmpdir(), 'pvgrub-bench-cache-'));
    const empty = () => rm(cache, { recursive: true, force: true });
    const plain: number[] = [];
    const cold: number[] = [];
    const shared: number[] = [];
    let cpu = 0;
    let building = 0;
    const check = (cell: Cell, digest: string, ours: Run) => {
      const got = ours.built.get(cell.id)?.image.sha256;
      if (got !== digest) throw new Error(`${cell.id}: ${got} is not the plain way's image ${digest}`);
    };
    try {
      const digests = new Map<string, string>();
      for (const cell of cells) {
        const sources = new Map<string, StoredSource>();
        for (const ref of cell.recipe.sources) sources.set(ref.name, await ensureSource(ref, fetching));
        const way = await PlainCell.prepare(engine, image, cell, sources, { labels, limits: settings.limits, shelf });
        const { seconds, sha256 } = await way.build(jobs);
        digests.set(cell.id, sha256);
        plain.push(seconds);
        await empty();
        const first = await build([cell], cache, flags);
        const again = await build([cell], cache, flags);
        if (again.built.get(cell.id)?.build.toolchain?.from !== cell.id)
          throw new Error(`${cell.id}: its toolchain was not taken from the cache`);
        for (const ours of [first, again]) check(cell, sha256, ours);
        cold.push(first.seconds);
        shared.push(again.seconds);
        process.stderr.write(
          `${cell.id}: plain ${seconds.toFixed(1)} s, cold ${first.seconds.toFixed(1)} s, toolchain cached ${again.seconds.toFixed(1)} s\n`,
        );
      }
      await empty();
      const all = await build(cells, cache, flags);
      for (const cell of cells) check(cell, digests.get(cell.id) ?? '', all);
      cpu = all.cpu;
      building = all.seconds;
    } finally {
      await shelf.remove();
      await empty();
    }
    const loop = plain.reduce((sum, seconds) => sum + seconds, 0);
    const ratios = (ours: readonly number[]) => ours.map((seconds, i) => seconds / (plain[i] as number));
    const row = (what: string, ours: number, theirs: number, ratio: number) => [
      what,
      `${theirs.toFixed(1)} s`,
      `${ours.toFixed(1)} s`,
      ratio.toFixed(2),
    ];
    const rows = [
      row('one cell, nothing cached', median(cold), median(plain), median(ratios(cold))),
      row('one cell, its toolchain cached', median(shared), median(plain), median(ratios(shared))),
      row(`${cells.length} cells, nothing cached`, building, loop, building / loop),
    ];
    process.stdout.write(`${table(['what', 'plain', 'pvgrub build', '×'], rows)}\n`);
    process.stdout.write(`the orchestrator's process took ${(100 * cpu).toFixed(1)} % of one core while it built those ${cells.length}\n`);
  });
}

function say(event: { type: string; text?: string }): void {
  if (event.type === 'note') process.stderr.write(`${event.text}\n`);
}
