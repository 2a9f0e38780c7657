import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cellFolder } from '../src/build/artifacts.ts';
import { knownVersions } from '../src/catalog/resolve.ts';
import { type CommonOptions, planData, settingsOf } from '../src/cli/context.ts';
import { withEngine } from '../src/cli/engines.ts';
import { ensureBuildImage } from '../src/engine/build-image.ts';
import { ownerLabels, thisOwner } from '../src/engine/labels.ts';
import { inputHash } from '../src/plan/input-hash.ts';
import { planMatrix } from '../src/plan/plan.ts';
import { table } from '../src/report/table.ts';
import { sha256 } from '../src/util/hash.ts';
import { median } from './median.ts';

/**
 * `npm run bench -- nothing [--engine …]`: a run over all pv-grub cells of the catalog with nothing to do, its results
 * recorded beforehand (images of random bytes, as large as real ones); medians, beside Node alone.
 */

const ROUNDS = 5;
const IMAGE_BYTES = 300_000;
const launcher = join(import.meta.dirname, '../pvgrub');

/** Run to the end: seconds, and the most memory that it had, in bytes (VmHWM of proc(5)). */
async function measure(command: string, args: readonly string[]): Promise<{ seconds: number; memory: number }> {
  const from = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  let memory = 0;
  const look = setInterval(() => {
    readFile(`/proc/${child.pid}/status`, 'utf8')
      .then((text) => {
        memory = Math.max(memory, 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(text)?.[1] ?? 0));
      })
      .catch(() => {});
  }, 5);
  const [code] = (await once(child, 'exit')) as [number];
  clearInterval(look);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}`);
  return { seconds: (performance.now() - from) / 1000, memory };
}

export async function run(args: string[]): Promise<void> {
  const common: CommonOptions = args[0] === '--engine' && args[1] !== undefined ? { engine: [args[1]] } : {};
  const folder = await mkdtemp(join(tmpdir(), 'pvgrub-bench-'));
  const say = (event: { type: string; text?: string }) => {
    if (event.type === 'note') process.stderr.write(`${event.text}\n`);
  };
  try {
    const data = planData();
    const loaders = { 'pv-grub': { versions: knownVersions(data.catalog, 'pv-grub'), arches: ['x86_64' as const, 'x86_32' as const] } };
    const config = join(folder, 'matrix.config.json');
    const out = join(folder, 'out');
    await writeFile(config, JSON.stringify({ loaders }));
    const settings = await settingsOf({ ...common, config, out });
    const cells = planMatrix(settings, data);
    await withEngine(settings, { setup: true, yes: true }, say, async (engine, signal) => {
      const labels = ownerLabels(thisOwner('bench'));
      const image = await ensureBuildImage(engine, { settings, labels, signal, say: (text) => say({ type: 'note', text }) });
      const bytes = Buffer.alloc(IMAGE_BYTES, 'pv-grub');
      for (const cell of cells) {
        const file = cell.recipe.outputs.find(({ role }) => role === 'image')?.file ?? '';
        const place = cellFolder(out, cell);
        await mkdir(place, { recursive: true });
        await writeFile(join(place, file), bytes);
        const { id, loader, version, arch } = cell;
        const metadata = { schema: 1, id, loader, version, arch, inputHash: inputHash(cell.recipe, image.digest), unpinned: [] };
        await writeFile(
          join(place, 'metadata.json'),
          JSON.stringify({
            ...metadata,
            image: { file, size: IMAGE_BYTES, sha256: sha256(bytes) },
            commands: cell.recipe.steps.map(({ run }) => run),
          }),
        );
      }
      const bare = ['-e', '0'];
      const ours = [
        'build',
        'pv-grub-*',
        '--config',
        config,
        '--out',
        out,
        '--no-setup',
        '--progress',
        'quiet',
        '--engine',
        engine.endpoint,
      ];
      const times: { bare: number[]; ours: number[]; memory: number[] } = { bare: [], ours: [], memory: [] };
      await measure(launcher, ours);
      for (let round = 0; round < ROUNDS; round++) {
        times.bare.push((await measure(process.execPath, bare)).seconds);
        const { seconds, memory } = await measure(launcher, ours);
        times.ours.push(seconds);
        times.memory.push(memory);
      }
      const [node, all] = [median(times.bare), median(times.ours)];
      const rows = [
        ['node -e 0', `${node.toFixed(3)} s`, '', ''],
        [
          `pvgrub build, ${cells.length} cells`,
          `${all.toFixed(3)} s`,
          `${(all - node).toFixed(3)} s`,
          `${(median(times.memory) / 1e6).toFixed(0)} MB`,
        ],
      ];
      process.stdout.write(`${table(['call', 'time', 'over bare node', 'memory'], rows)}\n`);
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
