import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { bootFaults, timesText } from '../boot/report.ts';
import { cellSubject, fileSubject } from '../boot/subject.ts';
import type { BootReport, BootSubject } from '../boot/types.ts';
import { cellFolder, demandWhole, readMetadata } from '../build/artifacts.ts';
import { BootStage, recordPlaced } from '../build/boot-stage.ts';
import type { Metadata } from '../build/metadata.ts';
import type { Settings } from '../config/settings.ts';
import { ownerLabels, sweep, thisOwner } from '../engine/labels.ts';
import { errorText, exitCode, OutputError, runExitCode, UsageError } from '../errors.ts';
import type { Cell } from '../plan/plan.ts';
import { renderer } from '../report/render.ts';
import { table } from '../report/table.ts';
import { ifThere } from '../util/files.ts';
import { type BootFlags, bootChoice } from './boot-flags.ts';
import { bareSettings, type CommonOptions, planned, print, printJson } from './context.ts';
import { withEngine } from './engines.ts';

interface BootOptions extends CommonOptions, BootFlags {
  setup: boolean;
  yes?: boolean;
  json?: boolean;
  progress: string;
}

/** An image to boot, and where its result is written down. */
interface Task {
  subject: BootSubject;
  placed?: { folder: string; metadata: Metadata };
}

/** Images to boot: files as they are, and cells that were built. */
async function tasksFor(
  args: readonly string[],
  options: BootOptions,
): Promise<{ settings: Settings; tasks: Task[]; failures: unknown[] }> {
  const choice = bootChoice(options);
  const kinds = await Promise.all(args.map(isFile));
  const files = args.filter((_, i) => kinds[i]);
  const selectors = args.filter((_, i) => !kinds[i]);
  const path = selectors.find((text) => text.includes('/'));
  if (path !== undefined)
    throw new UsageError('FILE_UNREADABLE', `${path}: no such file`, {
      hint: 'name an image, or a selector such as pv-grub-4.17.5-x86_64',
    });
  const failures: unknown[] = [];
  const tasks: Task[] = [];
  // What cannot be booted is told; the others are booted all the same.
  const add = async (task: () => Promise<Task>) => {
    try {
      tasks.push(await task());
    } catch (error) {
      if (!(error instanceof OutputError)) throw error;
      failures.push(error);
    }
  };
  for (const file of files)
    await add(async () => ({ subject: { ...fileSubject(basename(file), await readFile(file), choice), id: file } }));
  // A configuration is code: for files alone none is loaded.
  if (selectors.length === 0 && files.length > 0) return { settings: bareSettings(options), tasks, failures };
  const { settings, cells } = await planned(selectors, options, 'default');
  for (const cell of cells) await add(() => placedTask(cell, settings, choice));
  return { settings, tasks, failures };
}

/** @throws UsageError FILE_UNREADABLE for what is there and cannot be looked at */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await ifThere(stat(path)))?.isFile() ?? false;
  } catch (error) {
    throw new UsageError('FILE_UNREADABLE', `${path}: ${(error as Error).message}`);
  }
}

async function placedTask(cell: Cell, settings: Settings, choice: Parameters<typeof cellSubject>[2]): Promise<Task> {
  const folder = cellFolder(settings.output, cell);
  const metadata = await readMetadata(folder);
  const image = metadata && (await ifThere(readFile(join(folder, metadata.image.file))));
  if (!metadata || !image) {
    throw new OutputError('OUTPUT_MISSING', `${cell.id} is not in ${settings.output}`, {
      hint: `pvgrub build ${cell.id} --boot, or name another folder with --out`,
    });
  }
  await demandWhole(folder, metadata);
  return { subject: cellSubject(cell, image, choice), placed: { folder, metadata } };
}

/** `pvgrub boot`: boot files or built cells in a real Xen and tell what happened. */
export async function bootCommand(args: string[], options: BootOptions): Promise<void> {
  const emit = renderer(options.progress);
  const { settings, tasks, failures } = await tasksFor(args, options);
  const complain = (error: unknown) => process.stderr.write(`pvgrub: ${errorText(error)}\n`);
  failures.forEach(complain);
  const reports: BootReport[] = [];
  const choice = bootChoice(options);
  // A few cases, or many times the same, are no verdict on the image.
  const whole = choice.only === undefined && choice.repeat === 1;
  if (tasks.length > 0) {
    await withEngine(settings, options, emit, async (engine, signal) => {
      await sweep(engine);
      const labels = ownerLabels(thisOwner(randomBytes(8).toString('hex')));
      const stage = new BootStage({ engine, settings, cwd: process.cwd(), labels, signal, emit, choice });
      const refused = await inBatches(tasks, Math.max(1, Math.min(settings.cells, settings.cores)), async (batch) => {
        const results = await stage.boot(batch.map(({ subject }) => subject));
        for (const [i, report] of results.entries()) {
          reports.push(report);
          if (whole)
            await writeDown(report, batch[i]?.placed).catch((error: unknown) => {
              failures.push(error);
              // That it does not boot is told below.
              if (!(error instanceof OutputError && error.code === 'BOOT_FAILED')) complain(error);
            });
        }
      });
      signal.throwIfAborted();
      failures.push(...refused);
      refused.forEach(complain);
    });
  }
  if (options.json) printJson(reports);
  else if (reports.length > 0) show(reports);
  const errors = [...failures, ...reports.filter((report) => !report.ok).map(() => new OutputError('BOOT_FAILED', ''))];
  if (errors.length > 0) process.exitCode = runExitCode(errors) || exitCode(errors[0]);
}

/** Spread tasks over machines side by side: each batch shares one. Gives the errors of batches that came to none. */
async function inBatches(tasks: readonly Task[], machines: number, work: (batch: Task[]) => Promise<void>): Promise<unknown[]> {
  const batches = Array.from({ length: Math.min(machines, tasks.length) }, (_, n) => tasks.filter((_task, i) => i % machines === n));
  const answers = await Promise.allSettled(batches.map(work));
  return answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
}

async function writeDown(report: BootReport, placed: Task['placed']): Promise<void> {
  if (!placed) return;
  await recordPlaced(report, placed.folder, placed.metadata);
}

/** What a person wants to know: a line for each case, and all there is to say about those that failed. */
function show(reports: readonly BootReport[]): void {
  const rows = reports.flatMap(({ id, cases }) =>
    cases.map((result) => [id, result.name, result.ok ? 'ok' : 'FAILED', timesText(result), result.said.slice(0, 90)]),
  );
  print(table(['image', 'case', 'result', 'times', 'what happened'], rows));
  const [{ environment }] = reports as [BootReport];
  print(
    `\n${environment.hypervisor}, QEMU ${environment.qemu} (${environment.accelerator}, ${environment.start} start), dom0 ${environment.dom0}`,
  );
  for (const report of reports.filter(({ ok }) => !ok)) print(`\n${report.id}:\n${bootFaults(report)}`);
}
