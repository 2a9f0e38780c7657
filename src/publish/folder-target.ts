import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { outputError } from '../build/artifacts.ts';
import { OutputError, UsageError } from '../errors.ts';
import { claim } from '../sources/claim.ts';
import { besides, ifThere, statOf, syncFolder } from '../util/files.ts';
import { sha256File } from '../util/hash.ts';
import { allFiles, INDEX, type PublicationIndex, type PublishedImage, TOPS } from './index-file.ts';
import type { Content, Prepared } from './prepare.ts';
import type { Target } from './target.ts';

/** Folders and files of a publication that is being written; a run that was killed leaves them to the next one. */
const ASIDE = /^\..+\.part$/;
const STAGING = '.publish-';

/** A publication as a folder, for any web server to give out. */
export class FolderTarget implements Target {
  readonly name: string;

  constructor(folder: string) {
    this.name = folder;
  }

  /** @throws UsageError FILE_THERE where another process publishes here */
  async lock(): Promise<() => Promise<void>> {
    const release = await this.claimed().catch((error: unknown) => {
      throw outputError(error, this.name);
    });
    if (!release) throw new UsageError('FILE_THERE', `another process is publishing to ${this.name}`, { hint: 'wait until it is done' });
    await this.sweep();
    return release;
  }

  private async claimed(): Promise<(() => Promise<void>) | undefined> {
    await mkdir(this.name, { recursive: true });
    await this.demandOurs();
    return claim(join(this.name, '.publish'));
  }

  /** @throws UsageError FILE_THERE for a folder that has other things than a publication under the names of ours */
  private async demandOurs(): Promise<void> {
    const there = await readdir(this.name);
    if (there.includes(INDEX) || there.includes('signatures')) return;
    const [other] = [...TOPS, 'pv-grub', 'pvgrub2'].filter((name) => there.includes(name));
    if (other !== undefined)
      throw new UsageError('FILE_THERE', `${this.name} has ${other}, and is no publication`, { hint: 'publish into a folder of its own' });
  }

  private async sweep(): Promise<void> {
    for (const folder of [this.name, join(this.name, 'signatures')])
      for (const name of (await ifThere(readdir(folder))) ?? [])
        if (ASIDE.test(name) || name.startsWith(STAGING) || name === '.publish.owner.turn')
          await rm(join(folder, name), { recursive: true, force: true });
  }

  /** Place an image's folder whole. One that is there and right stays untouched; one that is damaged is made anew. */
  async putImage({ image, contents }: Prepared): Promise<boolean> {
    const folder = join(this.name, image.path);
    if (await this.isRight(folder, image)) return false;
    try {
      const staging = await mkdtemp(join(this.name, STAGING));
      const whole = join(staging, 'whole');
      try {
        await mkdir(whole);
        for (const file of allFiles(image)) {
          const content = contents.get(file.name);
          if (content === undefined) throw new Error(`no content for ${image.path}/${file.name}`);
          const is = await writeWhole(join(whole, file.name), content);
          if (is !== file.sha256)
            throw new OutputError('OUTPUT_DAMAGED', `${file.name} of ${image.id} has changed while it was published`, {
              expected: file.sha256,
              got: is,
            });
        }
        await mkdir(dirname(folder), { recursive: true });
        await ifThere(rename(folder, join(staging, 'old')));
        await rename(whole, folder);
        await syncFolder(dirname(folder));
      } finally {
        await rm(staging, { recursive: true, force: true });
      }
    } catch (error) {
      throw outputError(error, this.name);
    }
    return true;
  }

  private async isRight(folder: string, image: PublishedImage): Promise<boolean> {
    const names = await ifThere(readdir(folder));
    if (names?.length !== allFiles(image).length) return false;
    for (const { name, sha256 } of allFiles(image)) if ((await ifThere(sha256File(join(folder, name)))) !== sha256) return false;
    return true;
  }

  /**
   * Put what stands at the top into place: all of it is written aside first, so that a full disk is found before anything
   * is replaced, and then moved in order, the index last.
   */
  async commit(views: ReadonlyMap<string, Uint8Array>): Promise<boolean> {
    const moves: [aside: string, path: string][] = [];
    try {
      for (const [name, bytes] of views) {
        const path = join(this.name, name);
        if ((await ifThere(readFile(path)))?.equals(bytes)) continue;
        await mkdir(dirname(path), { recursive: true });
        const aside = besides(path);
        moves.push([aside, path]);
        await writeWhole(aside, bytes);
      }
      for (const [aside, path] of moves) await rename(aside, path);
      await syncFolder(this.name);
    } catch (error) {
      for (const [aside] of moves) await rm(aside, { force: true });
      throw outputError(error, this.name);
    }
    return moves.length > 0;
  }

  async tidy(index: PublicationIndex, sha256: string): Promise<void> {
    const signatures = [sha256, index.previous?.sha256].map((one) => `${one}.minisig`);
    const folder = join(this.name, 'signatures');
    for (const name of (await ifThere(readdir(folder))) ?? [])
      if (!signatures.includes(name)) await rm(join(folder, name), { force: true });
    // Images that are given up, and what a run that was killed has left.
    const named = new Set([...index.images, ...index.superseded].map(({ path }) => path));
    for (const path of await this.imageFolders()) if (!named.has(path)) await rm(join(this.name, path), { recursive: true, force: true });
  }

  private async imageFolders(): Promise<string[]> {
    const inside = async (path: string) =>
      ((await statOf(join(this.name, path)))?.isDirectory() ? await readdir(join(this.name, path), { withFileTypes: true }) : [])
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(path, entry.name));
    let paths = ['pv-grub', 'pvgrub2'];
    for (let depth = 0; depth < 3; depth++) paths = (await Promise.all(paths.map(inside))).flat();
    return paths.filter((path) => /\/[0-9a-f]{16}$/.test(path));
  }
}

/** Write a new file, and have the disk take it. @returns its SHA-256 */
async function writeWhole(path: string, content: Content): Promise<string> {
  const hash = createHash('sha256');
  const handle = await open(path, 'wx', 0o644);
  try {
    const chunks = typeof content === 'string' ? createReadStream(content) : [content];
    await pipeline(chunks, async (source: AsyncIterable<Uint8Array>) => {
      for await (const chunk of source) {
        hash.update(chunk);
        await handle.writeFile(chunk);
      }
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      throw new OutputError('OUTPUT_DAMAGED', `${content} is not there`, {
        hint: 'take it again from where it was, or publish what is whole',
      });
    });
    await handle.sync();
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}
