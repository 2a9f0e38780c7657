import { randomBytes } from 'node:crypto';
import { outputError } from '../build/artifacts.ts';
import type { Settings } from '../config/settings.ts';
import { ensureBuildImage } from '../engine/build-image.ts';
import { archivedImage, archiveImage } from '../engine/image-archive.ts';
import { ownerLabels, thisOwner } from '../engine/labels.ts';
import { EngineError, errorText, InterruptedError, runExitCode } from '../errors.ts';
import { attestCell } from '../publish/attest.ts';
import { ImageArchives } from '../publish/image-archives.ts';
import { renderer } from '../report/render.ts';
import { Store, type StoredSource } from '../sources/store.ts';
import { type CommonOptions, planned, print } from './context.ts';
import { withEngine } from './engines.ts';
import { interruptSignal } from './interrupt.ts';
import { signingKey } from './passphrase.ts';

/** What a command that may need an engine for a build image takes. */
export interface ImageCommand {
  setup: boolean;
  yes?: boolean;
}

type AttestOptions = CommonOptions & ImageCommand & { key?: string };

/** `pvgrub attest`: write buildinfo, SBOM and signed provenance beside images that are built. */
export async function attestCommand(selectors: string[], options: AttestOptions): Promise<void> {
  const emit = renderer('plain');
  const warn = (text: string) => emit({ type: 'warning', text });
  const { settings, cells, catalog } = await planned(selectors, options, 'default');
  const key = await signingKey(options.key, warn);
  const signal = interruptSignal((text) => emit({ type: 'note', text }));
  const archives = imageArchives(settings, options);
  const failures: unknown[] = [];
  for (const cell of cells) {
    try {
      signal.throwIfAborted();
      const { image, archived } = await attestCell(cell, {
        output: settings.output,
        catalog,
        key,
        archiveOf: async (digest) => {
          try {
            return (await archives.of(digest))?.record;
          } catch (error) {
            // Where there is no engine to ask, packages are named.
            if (error instanceof EngineError && error.code === 'ENGINE_NOT_FOUND') return undefined;
            throw error;
          }
        },
      });
      if (!archived) warn(`${cell.id}: its build image is neither in the store nor on the engine; its packages alone are named`);
      print(`${cell.id}: ${image}.buildinfo, ${image}.cdx.json, ${image}.intoto.jsonl, signed by ${key.public.id}`);
    } catch (thrown) {
      if (signal.aborted) throw new InterruptedError();
      const error = outputError(thrown, settings.output);
      failures.push(error);
      process.stderr.write(`pvgrub: ${errorText(error)}\n`);
    }
  }
  process.exitCode = runExitCode(failures);
}

/** Archives of build images for a command: an engine is looked for, or set up, where the store does not have one. */
export function imageArchives(settings: Settings, options: ImageCommand): ImageArchives {
  const emit = renderer('plain');
  return new ImageArchives(new Store(settings.store), async (work) => {
    let result: unknown;
    await withEngine(settings, options, emit, async (engine, signal) => {
      const labels = ownerLabels(thisOwner(randomBytes(8).toString('hex')));
      result = await work(engine, { settings, labels, signal, say: (text) => emit({ type: 'note', text }) });
    });
    return result as never;
  });
}

/** The archive of the present build image, which is made if need be, and put into the store. */
export async function presentArchive(settings: Settings, options: ImageCommand): Promise<StoredSource> {
  const emit = renderer('plain');
  const store = new Store(settings.store);
  let archive: StoredSource | undefined;
  await withEngine(settings, options, emit, async (engine, signal) => {
    const labels = ownerLabels(thisOwner(randomBytes(8).toString('hex')));
    const image = await ensureBuildImage(engine, { settings, labels, signal, say: (text) => emit({ type: 'note', text }) });
    archive = (await archivedImage(store, image.digest)) ?? (await archiveImage(engine, image, store, labels, signal));
  });
  return archive as StoredSource;
}
