import { join, resolve } from 'node:path';
import { cacheFolder, stateFolder } from '../config/settings.ts';
import { formatBytes } from '../config/units.ts';
import { UsageError } from '../errors.ts';
import type { PublishedImage } from '../publish/index-file.ts';
import type { PublicKey } from '../publish/key.ts';
import { chooseImages } from '../pull/choose.ts';
import { bootFolder, runningXen } from '../pull/host.ts';
import { type Installed, install, rollBack } from '../pull/install.ts';
import { openPublication } from '../pull/open-publication.ts';
import { pullImage } from '../pull/pull.ts';
import { print, printJson } from './context.ts';
import { interruptSignal } from './interrupt.ts';
import { publicKeyOf } from './verify.ts';

/** Options of `pvgrub pull`. */
export interface PullOptions {
  from?: string;
  key?: string;
  out?: string;
  install?: boolean;
  to?: string;
  root: string;
  rollBack?: boolean;
  json?: boolean;
}

/** `pvgrub pull`: get images of a publication, checked, and install them where Xen looks. Loads no configuration. */
export async function pullCommand(selectors: string[], options: PullOptions): Promise<void> {
  const xen = await runningXen(options.root);
  const target = () => (options.to === undefined ? bootFolder(options.root, xen) : resolve(options.to));
  if (options.rollBack) {
    const changed = await rollBack(await target(), selectors);
    if (options.json) return printJson(changed);
    for (const path of changed) print(`${path}: the previous one again; the one before this is kept as .previous`);
    return;
  }
  if (options.from === undefined)
    throw new UsageError('OPTION_INVALID', 'pull needs --from', { expected: 'the URL of a publication, or its folder' });
  const key = await publicKeyOf(options.key);
  const installs = options.install || options.to !== undefined;
  // Where it cannot be installed is said before anything is downloaded.
  const folder = installs ? await target() : undefined;
  const { place, opened } = await openPublication(options.from, key, stateFolder());
  const { images, notes } = chooseImages(selectors, opened.index.images, xen);
  for (const note of notes) process.stderr.write(`pvgrub: ${note}\n`);
  if (folder !== undefined) demandOneOfEach(images);
  const signal = interruptSignal((text) => process.stderr.write(`${text}\n`));
  const signer = opened.keys.at(-1) as PublicKey;
  const pulled = [];
  for (const image of images) {
    for (const text of image.unproven) process.stderr.write(`pvgrub: ${image.id} is unproven: ${text}\n`);
    // By way of the cache where it is installed: a cut transfer leaves nothing where Xen looks, and goes on the next time.
    const into = folder === undefined ? downloadFolder(options.out ?? '.', image, images) : join(cacheFolder(), 'pull', image.image.sha256);
    pulled.push({ image, ...(await pullImage(place, image, signer, into, { signal, onProgress: progress(image) })) });
  }
  const results = [];
  // All of them were right before the first one is installed.
  for (const { image, path, there } of pulled) {
    const { name, sha256, size } = image.image;
    const got: Installed = folder === undefined ? { path, there } : await install(path, join(folder, name), sha256);
    results.push({ id: image.id, sha256, ...got });
    if (options.json) continue;
    print(`${got.path}: ${image.id}, ${formatBytes(size)}, sha256 ${sha256}${got.there ? ', there already' : ''}`);
    if (got.previous) print(`  the one that was there is kept as ${got.previous}; pvgrub pull --roll-back takes it again`);
  }
  if (options.json) printJson(results);
}

/** Images of several versions have the same file names: then each has a folder of its own. */
function downloadFolder(out: string, { loader, version, arch, image }: PublishedImage, all: readonly PublishedImage[]): string {
  const alone = all.filter((other) => other.image.name === image.name).length === 1;
  return alone ? resolve(out) : resolve(out, loader, version, arch);
}

function demandOneOfEach(images: readonly PublishedImage[]): void {
  for (const [name, list] of Map.groupBy(images, ({ image }) => image.name))
    if (list.length > 1)
      throw new UsageError('OPTION_INVALID', `${list.length} of these images would be installed as ${name}`, {
        got: list.map(({ id }) => id).join(', '),
        hint: 'choose one of them, or leave out --install',
      });
}

/** Tells on a terminal how far a download is; nothing elsewhere. */
function progress({ image }: PublishedImage): ((done: number) => void) | undefined {
  if (!process.stderr.isTTY) return undefined;
  return (done) => {
    const percent = Math.floor((100 * done) / Math.max(image.size, 1));
    process.stderr.write(
      `\r${image.name}: ${String(percent).padStart(3)} % of ${formatBytes(image.size)}${done >= image.size ? '\n' : ''}`,
    );
  };
}
