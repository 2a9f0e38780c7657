import { presentBuildImage } from '../engine/build-image.ts';
import type { Engine } from '../engine/engine.ts';
import type { ImageOptions } from '../engine/image.ts';
import { archivedImage, archiveImage } from '../engine/image-archive.ts';
import type { Store, StoredSource } from '../sources/store.ts';

/** Archives of build images: those in the store, else made from the engine that has the image. */
export class ImageArchives {
  private readonly store: Store;
  private readonly withEngine: <T>(work: (engine: Engine, options: ImageOptions) => Promise<T>) => Promise<T>;
  private readonly asked = new Map<string, Promise<StoredSource | undefined>>();

  /** @param withEngine does work with an engine, which is looked for only then */
  constructor(store: Store, withEngine: ImageArchives['withEngine']) {
    this.store = store;
    this.withEngine = withEngine;
  }

  /**
   * The archive of the build image whose manifest has this digest; undefined where neither the store nor an engine has it.
   * No image is built for it.
   * @throws EngineError, SourceError STORE_DISK_FULL
   */
  of(digest: string): Promise<StoredSource | undefined> {
    let answer = this.asked.get(digest);
    if (!answer) {
      answer = this.find(digest);
      this.asked.set(digest, answer);
    }
    return answer;
  }

  private async find(digest: string): Promise<StoredSource | undefined> {
    const there = await archivedImage(this.store, digest);
    if (there) return there;
    return this.withEngine(async (engine, options) => {
      const { right: image } = await presentBuildImage(engine, digest, options);
      if (!image) return undefined;
      options.say('putting the build image into the store');
      return archiveImage(engine, image, this.store, options.labels, options.signal);
    });
  }
}
