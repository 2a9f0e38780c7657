import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { table } from '../src/report/table.ts';
import { median } from './median.ts';

/** `npm run bench -- start`: how long the shortest calls take beside Node alone; medians. */

const ROUNDS = 11;
const launcher = join(import.meta.dirname, '../pvgrub');

function seconds(command: string, args: readonly string[]): number {
  const from = performance.now();
  const { status } = spawnSync(command, args, { stdio: 'ignore' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
  return (performance.now() - from) / 1000;
}

export async function run(): Promise<void> {
  const calls: [string, string, string[]][] = [
    ['node -e 0', process.execPath, ['-e', '0']],
    ['pvgrub --help', launcher, ['--help']],
    ['pvgrub matrix', launcher, ['matrix']],
  ];
  // The first call fills Node's cache of compiled code.
  for (const [, command, args] of calls) seconds(command, args);
  const times = calls.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) for (const [i, [, command, args]] of calls.entries()) times[i]?.push(seconds(command, args));
  const [bare = 0] = times.map(median);
  const rows = calls.map(([name], i) => [
    name,
    `${median(times[i] ?? []).toFixed(3)} s`,
    `${(median(times[i] ?? []) - bare).toFixed(3)} s`,
  ]);
  process.stdout.write(`${table(['call', 'time', 'over bare node'], rows)}\n`);
}
