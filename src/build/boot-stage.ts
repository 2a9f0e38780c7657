import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BootImage, ensureBootImage } from '../boot/boot-image.ts';
import { BOOT_LOG, type BootMetadata, bootFaults, bootLog, bootMetadata } from '../boot/report.ts';
import { bootImages } from '../boot/run.ts';
import type { CaseChoice } from '../boot/subject.ts';
import type { BootReport, BootSubject } from '../boot/types.ts';
import type { Settings } from '../config/settings.ts';
import type { Engine } from '../engine/engine.ts';
import { OutputError } from '../errors.ts';
import type { Listener } from '../report/events.ts';
import { sourceEvents } from '../report/source-events.ts';
import { Store } from '../sources/store.ts';
import { writeFileAtomic } from '../util/files.ts';
import { readMetadata } from './artifacts.ts';
import type { Metadata } from './metadata.ts';

/** How images are to be booted. */
export interface BootChoice extends CaseChoice {
  accelerator: 'auto' | 'tcg' | 'kvm';
}

/** What booting needs of its run. */
export interface BootStageContext {
  engine: Engine;
  settings: Settings;
  cwd: string;
  labels: Record<string, string>;
  signal: AbortSignal;
  emit: Listener;
  choice: BootChoice;
}

/** The boot image on an engine, made where it is not there. @throws EngineError, SourceError as ensureBootImage */
export function readyBootImage({ engine, settings, cwd, labels, signal, emit }: Omit<BootStageContext, 'choice'>): Promise<BootImage> {
  const say = (text: string) => emit({ type: 'note', text });
  const fetch = { store: new Store(settings.store), settings, cwd, signal, events: sourceEvents(emit) };
  return ensureBootImage(engine, fetch, { settings, labels, signal, say });
}

/** Boots images for a run; the boot image is made sure of once, when the first one is to be booted. */
export class BootStage {
  private readonly context: BootStageContext;
  private image: Promise<BootImage> | undefined;

  constructor(context: BootStageContext) {
    this.context = context;
  }

  /** Make sure of the boot image. @throws EngineError, SourceError */
  async ready(): Promise<void> {
    this.image ??= readyBootImage(this.context);
    await this.image;
  }

  /** Boot images, all in one machine. @throws EngineError, SourceError; the signal's reason */
  async boot(subjects: readonly BootSubject[]): Promise<BootReport[]> {
    const { engine, labels, signal, emit, choice } = this.context;
    this.image ??= readyBootImage(this.context);
    const image = await this.image;
    return bootImages(subjects, {
      engine,
      image,
      labels,
      accelerator: choice.accelerator,
      signal,
      warn: (text) => emit({ type: 'warning', text }),
      onResult: (id, { name, ok, said, menu, guest }) => emit({ type: 'boot-case', image: id, case: name, ok, said, menu, guest }),
    });
  }
}

/**
 * Write down how an image booted: its console in `boot.log` in a folder, the rest for its metadata.
 * @throws OutputError BOOT_FAILED, after the log is written, where a case did not go as it should
 */
export async function recordBoot(report: BootReport, folder: string): Promise<BootMetadata> {
  await writeFile(join(folder, BOOT_LOG), bootLog(report));
  demandBoot(report);
  return bootMetadata(report);
}

/** @throws OutputError BOOT_FAILED that names every case that did not go as it should */
export function demandBoot(report: BootReport): void {
  if (report.ok) return;
  const failed = report.cases.filter((result) => !result.ok);
  throw new OutputError('BOOT_FAILED', `${report.id} does not boot as it should: ${failed.length} of ${report.cases.length} cases failed`, {
    got: bootFaults(report),
    hint: 'docs/boot.md tells what each case is; pvgrub boot tries any image again',
  });
}

/**
 * Write down how an image that is in its place booted, good or bad, beside it and in its metadata.
 * @throws OutputError BOOT_FAILED, after all is written, where a case did not go as it should
 */
export async function recordPlaced(report: BootReport, folder: string, metadata: Metadata): Promise<Metadata> {
  // Boots take a while: the image may have been replaced meanwhile.
  const now = await readMetadata(folder);
  if (now?.image.sha256 !== metadata.image.sha256) return metadata;
  const amended = { ...now, boot: bootMetadata(report) };
  await writeFileAtomic(join(folder, BOOT_LOG), bootLog(report));
  await writeFileAtomic(join(folder, 'metadata.json'), `${JSON.stringify(amended, null, 2)}\n`);
  demandBoot(report);
  return amended;
}
