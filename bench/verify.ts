import { spawnSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { table } from '../src/report/table.ts';
import type { SourceRecord } from '../src/sources/store.ts';
import { sha256 } from '../src/util/hash.ts';
import { median } from './median.ts';

/** `npm run bench -- verify`: `pvgrub sources verify` over 1 GB beside `openssl dgst -sha256` over the same files; medians. */

const FILES = 32;
const BYTES = 2 ** 25;
const ROUNDS = 5;
const launcher = join(import.meta.dirname, '../pvgrub');

function seconds(command: string, args: readonly string[]): number {
  const from = performance.now();
  const { status } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
  return (performance.now() - from) / 1000;
}

export async function run(): Promise<void> {
  const store = await mkdtemp(join(tmpdir(), 'pvgrub-bench-store-'));
  try {
    const paths: string[] = [];
    for (let i = 0; i < FILES; i++) {
      // Bytes that no disk or file system can make smaller.
      const bytes = createCipheriv('aes-128-ctr', Buffer.alloc(16, i), Buffer.alloc(16)).update(Buffer.alloc(BYTES));
      const digest = sha256(bytes);
      const path = join(store, 'sha256', digest.slice(0, 2), digest);
      await mkdir(join(path, '..'), { recursive: true });
      await writeFile(path, bytes);
      paths.push(path);
      const record: SourceRecord = {
        schema: 1,
        name: 'bench',
        version: `${i}`,
        file: `bench-${i}.tar`,
        sha256: digest,
        sha512: '0'.repeat(128),
        size: BYTES,
        format: 'tar',
        top: 'bench',
        origin: 'bench',
      };
      await mkdir(join(store, 'records', `bench@${i}`), { recursive: true });
      await writeFile(join(store, 'records', `bench@${i}`, `${digest}.json`), JSON.stringify(record));
    }
    const calls: [string, string, string[]][] = [
      ['openssl dgst -sha256', 'openssl', ['dgst', '-sha256', ...paths]],
      ['pvgrub sources verify', launcher, ['sources', 'verify', '--store', store]],
    ];
    const times = calls.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++)
      for (const [i, [, command, args]] of calls.entries()) times[i]?.push(seconds(command, args));
    const total = (FILES * BYTES) / 1e9;
    const [theirs = 1] = times.map(median);
    const rows = calls.map(([name], i) => {
      const time = median(times[i] ?? []);
      return [name, `${time.toFixed(2)} s`, `${(total / time).toFixed(2)} GB/s`, (theirs / time).toFixed(2)];
    });
    process.stdout.write(`${table([`over ${total.toFixed(2)} GB`, 'time', 'speed', '×'], rows)}\n`);
  } finally {
    await rm(store, { recursive: true, force: true });
  }
}
