import type { Container } from 'dockerode';
import { type PutFile, putFiles } from './archive.ts';
import type { Engine } from './engine.ts';
import { Workspace } from './workspace.ts';

/** Where containers see a shelf. */
export const SHELF = '/sources';

/** A file to be put on a shelf: its SHA-256 is its name there. */
export interface ShelfFile {
  path: string;
  size: number;
  sha256: string;
}

/**
 * Files on the engine's side that many containers read: each is sent once, whoever wants it, and lies below
 * {@link SHELF} under its SHA-256. Sending them to every cell anew would be most of the orchestrator's own work.
 */
export class Shelf {
  private readonly engine: Engine;
  private readonly image: string;
  private readonly labels: Record<string, string>;
  private place: Promise<{ workspace: Workspace; holder: Container }> | undefined;
  private readonly sent = new Map<string, Promise<void>>();

  /** @param image any image of the engine: the container that takes files in never runs */
  constructor(engine: Engine, image: string, labels: Record<string, string>) {
    this.engine = engine;
    this.image = image;
    this.labels = labels;
  }

  /**
   * Make sure that files are there.
   * @returns what a container must be created with to read them
   * @throws EngineError; what could not be sent is tried again by the next who wants it
   */
  async hold(files: readonly ShelfFile[]): Promise<{ volume: string; at: string }> {
    this.place ??= this.open();
    const { workspace, holder } = await this.place;
    for (const file of files) await this.send(holder, file);
    return { volume: workspace.volume, at: SHELF };
  }

  /** Remove everything; nobody may use it any more. */
  async remove(warn: (text: string) => void): Promise<void> {
    const there = await this.place?.catch(() => undefined);
    await there?.workspace.remove(warn);
  }

  private async open(): Promise<{ workspace: Workspace; holder: Container }> {
    const workspace = await Workspace.create(this.engine, this.labels);
    try {
      const limits = { memory: 64 * 2 ** 20, pids: 1 };
      const holder = await workspace.container({ image: this.image, command: ['false'], env: {}, labels: this.labels, limits });
      return { workspace, holder };
    } catch (error) {
      this.place = undefined;
      await workspace.remove(() => {});
      throw error;
    }
  }

  private send(holder: Container, { path, size, sha256 }: ShelfFile): Promise<void> {
    let promise = this.sent.get(sha256);
    if (!promise) {
      const file: PutFile = { name: sha256, content: { path, size } };
      promise = putFiles(holder, '/cell', [file]);
      promise.catch(() => this.sent.delete(sha256));
      this.sent.set(sha256, promise);
    }
    return promise;
  }
}
