import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { allFiles, parseIndex } from '../src/publish/index-file.ts';
import { table } from '../src/report/table.ts';
import { median } from './median.ts';

/**
 * `npm run bench -- publication <folder> <public key>`: `pvgrub verify` over a publication beside `sha256sum -c` over the same
 * files and minisign over each image; medians.
 */

const ROUNDS = 5;
const launcher = join(import.meta.dirname, '../pvgrub');

function seconds(command: string, args: readonly string[], cwd: string): number {
  const from = performance.now();
  const { status } = spawnSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
  return (performance.now() - from) / 1000;
}

export async function run([folder, key]: string[]): Promise<void> {
  if (folder === undefined || key === undefined) throw new Error('npm run bench -- publication <folder> <public key>');
  const at = resolve(folder);
  const index = parseIndex(await readFile(join(at, 'index.json'), 'utf8'), at);
  const files = index.images.flatMap((image) => allFiles(image).map((file) => ({ ...file, path: `${image.path}/${file.name}` })));
  const work = await mkdtemp(join(tmpdir(), 'pvgrub-bench-'));
  try {
    await writeFile(join(work, 'sums'), files.map(({ sha256, path }) => `${sha256}  ${path}\n`).join(''));
    const each = index.images.map(({ path, image }) => `minisign -qVm ${path}/${image.name} -p "$0" || exit 1\n`).join('');
    await writeFile(join(work, 'plain.sh'), `sha256sum -c --strict --quiet ${join(work, 'sums')} || exit 1\n${each}`);
    const calls: [string, string, string[]][] = [
      ['sha256sum and minisign', 'sh', ['-c', `. ${join(work, 'plain.sh')}`, resolve(key)]],
      ['pvgrub verify', launcher, ['verify', at, '--key', resolve(key)]],
    ];
    const times = calls.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++)
      for (const [i, [, command, args]] of calls.entries()) times[i]?.push(seconds(command, args, at));
    const [plain = 1] = times.map(median);
    const total = files.reduce((sum, { size }) => sum + size, 0) / 1e6;
    process.stdout.write(
      `${index.images.length} images, ${files.length} files, ${total.toFixed(0)} MB\n${table(
        ['what', 'median s', 'ratio'],
        calls.map(([what], i) => [what, median(times[i] ?? []).toFixed(3), (median(times[i] ?? []) / plain).toFixed(2)]),
      )}\n`,
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
