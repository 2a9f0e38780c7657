import { readFile } from 'node:fs/promises';
import { xenSource } from '../catalog/resolve.ts';
import { errorData, errorText, SourceError, UsageError } from '../errors.ts';
import { renderer } from '../report/render.ts';
import { sourceEvents } from '../report/source-events.ts';
import { readLock, writeLock } from '../sources/lock.ts';
import { lockRelease } from '../sources/lock-release.ts';
import { Store } from '../sources/store.ts';
import { type CommonOptions, planned } from './context.ts';
import { interruptSignal } from './interrupt.ts';

/** Not on stdout: that is for JSON lines alone where they are asked for. */
const say = (text: string) => process.stderr.write(`${text}\n`);

/**
 * `pvgrub sources lock`: for releases of Xen of whose tarball no SHA-256 or SHA-512 is published, check the tarball's
 * signature and write its checksums into the lock file. Each success is written at once.
 */
export async function lockCommand(selectors: string[], options: CommonOptions & { keyFile: string; progress?: string }): Promise<void> {
  const { settings, cells, catalog } = await planned(selectors, options, 'all');
  const key = await readFile(options.keyFile).catch((error: Error) => {
    throw new UsageError('FILE_UNREADABLE', error.message, { hint: `--key-file names a file with the OpenPGP key ${catalog.xen.key}` });
  });
  const emit = renderer(options.progress ?? 'auto');
  const signal = interruptSignal((text) => emit({ type: 'note', text }));
  const wanted = new Set(cells.filter((cell) => cell.loader === 'pv-grub').map((cell) => cell.version));
  // The catalog has what was locked before, too.
  const releases = catalog.xen.releases.filter((entry) => wanted.has(entry.version) && !entry.sha256 && !entry.sha512);
  const context = {
    ...{ store: new Store(settings.store), settings, cwd: process.cwd(), signal, events: sourceEvents(emit) },
    ...{ key, fingerprint: catalog.xen.key },
  };
  const lock = readLock(settings.lock);
  const failures: SourceError[] = [];
  for (const release of releases) {
    signal.throwIfAborted();
    const { version } = release;
    try {
      const url = catalog.xen.tarball.replaceAll('{version}', version);
      const locked = await lockRelease(xenSource(catalog, version), release, url, context);
      lock.xen[version] = locked;
      await writeLock(settings.lock, lock);
      const weak = locked.signature.hash === 'sha1' ? ', which is weak: taken because the key is the pinned one' : '';
      say(`xen ${version}: sha256 ${locked.sha256}, signed on ${locked.signature.made} over ${locked.signature.hash}${weak}`);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SourceError)) throw error;
      failures.push(error);
      emit({ type: 'source-failed', source: `xen ${version}`, error: errorData(error) });
    }
  }
  for (const error of failures) process.stderr.write(`pvgrub: ${errorText(error)}\n`);
  say(
    `${releases.length - failures.length} of ${releases.length} tarballs locked in ${settings.lock}; ${wanted.size - releases.length} have a checksum already`,
  );
  if (failures.length > 0) process.exitCode = 3;
}
