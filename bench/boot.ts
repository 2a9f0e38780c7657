import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ensureBootImage } from '../src/boot/boot-image.ts';
import { jobCases, jobFiles } from '../src/boot/job.ts';
import { fileSubject } from '../src/boot/subject.ts';
import { settle } from '../src/config/settings.ts';
import { putFiles } from '../src/engine/archive.ts';
import { runContainer } from '../src/engine/container.ts';
import type { Engine } from '../src/engine/engine.ts';
import { ownerLabels, thisOwner } from '../src/engine/labels.ts';
import { Workspace } from '../src/engine/workspace.ts';
import { table } from '../src/report/table.ts';
import { readyEngine } from '../src/setup/setup.ts';
import { Store } from '../src/sources/store.ts';
import { median } from './median.ts';

/**
 * `npm run bench -- boot IMAGE`: from start to verdict, `pvgrub boot` beside QEMU called by a shell in the same container
 * image, with the job disk made beforehand. Medians of three rounds, each round in the same order.
 */

const ROUNDS = 3;
const FURTHER = 4;
const say = (text: string) => process.stderr.write(`${text}\n`);

/** A shell's way to boot: QEMU, and a word when dom0 asks. Prints how many milliseconds QEMU ran. */
const bareScript = (more: string) => `set -eu
cd /cell
sh in/disks.sh >&2
job=/cell/job.img; truncate -s 8G $job
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1,nodiscard -m 0 -d job $job 128M >&2
accelerator=tcg; xen_chardev=file,id=xen,path=/cell/xen.log; guest_chardev='stdio,id=guest,signal=off'
. /kit/run/qemu.sh
from=$(date +%s%N)
{ until grep -q 'case 001' out 2> /dev/null; do echo; sleep 0.1; done; echo go; until grep -q guest:.done out; do sleep 0.1; done; } | start_qemu ${more} > out
grep -q guest:.done out
echo took $((($(date +%s%N) - from) / 1000000))
`;

async function bare(engine: Engine, image: string, file: string, more: string): Promise<number> {
  const labels = ownerLabels(thisOwner('bench'));
  const subject = fileSubject(basename(file), readFileSync(file), { linux: false, only: ['disk'] });
  const workspace = await Workspace.create(engine, labels);
  try {
    const container = await workspace.container({
      image,
      command: ['sh', '-c', bareScript(more)],
      env: { LC_ALL: 'C', HOME: '/cell', TMPDIR: '/cell' },
      labels,
      limits: { memory: 2 ** 30, pids: 64 },
    });
    await putFiles(container, '/cell', jobFiles(jobCases([subject]), 'bench'));
    let text = '';
    await runContainer(container, {
      onOutput: ({ data }) => {
        text += data.toString();
      },
      timeoutMs: 300_000,
    });
    const took = /^took (\d+)$/m.exec(text)?.[1];
    if (took === undefined) throw new Error(`bare QEMU did not boot ${file}:\n${text}`);
    return Number(took) / 1000;
  } finally {
    await workspace.remove(say);
  }
}

/** The whole command, as a user calls it. */
async function forge(engine: Engine, files: readonly string[]): Promise<number> {
  const from = performance.now();
  const main = join(import.meta.dirname, '../src/cli/main.ts');
  const args = [main, 'boot', ...files, '--cases', 'disk', '--accel', 'tcg', '--jobs', '1', '--engine', engine.endpoint, '--no-setup'];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`pvgrub boot ended with ${code}`);
  return (performance.now() - from) / 1000;
}

export async function run(files: string[]): Promise<void> {
  const [file] = files;
  if (file === undefined) throw new Error('name an image, such as artifacts/pvgrub2/2.14/x86_64/grub-x86_64-xen.bin');
  const { engine, release } = await readyEngine({ wanted: process.env['PVGRUB_ENGINE'] ?? 'auto', allowed: true, yes: true, say });
  try {
    const settings = settle({ config: {}, overrides: {}, env: process.env, cwd: process.cwd() });
    const labels = ownerLabels(thisOwner('bench'));
    const fetch = { store: new Store(settings.store), settings, cwd: process.cwd() };
    const { id } = await ensureBootImage(engine, fetch, { settings, labels, say });
    const times = { cold: [] as number[], saved: [] as number[], one: [] as number[], many: [] as number[] };
    for (let round = 1; round <= ROUNDS; round++) {
      say(`round ${round} of ${ROUNDS}`);
      times.cold.push(await bare(engine, id, file, ''));
      times.saved.push(await bare(engine, id, file, "-incoming 'exec:cat /state/dom0.state'"));
      times.one.push(await forge(engine, [file]));
      times.many.push(
        await forge(
          engine,
          Array.from({ length: 1 + FURTHER }, () => file),
        ),
      );
    }
    const [cold, saved, one, many] = [times.cold, times.saved, times.one, times.many].map(median) as [number, number, number, number];
    const row = (what: string, seconds: number) => [
      what,
      `${seconds.toFixed(1)} s`,
      (seconds / cold).toFixed(2),
      (seconds / saved).toFixed(2),
    ];
    process.stdout.write(
      `${table(
        ['from start to verdict', 'time', '× bare', '× bare, saved'],
        [
          row('bare QEMU, from power-on', cold),
          row('bare QEMU, from the saved state', saved),
          row('pvgrub boot, one image', one),
          row(`pvgrub boot, each of ${FURTHER} further images`, (many - one) / FURTHER),
        ],
      )}\n`,
    );
  } finally {
    await release();
  }
}
