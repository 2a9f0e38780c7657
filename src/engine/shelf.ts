import { rm } from 'node:fs/promises';
import type { Container } from 'dockerode';
import { putFiles } from './archive.ts';
import type { Engine } from './engine.ts';
import { Workspace } from './workspace.ts';

/** Where containers see a shelf. */
export const SHELF = '/sources';

/** See {@link Shelf}'s `full`. */
const FULL = 2 ** 30;

/** A file to be put on a shelf. */
export interface ShelfFile {
  /** Its name there, which always stands for the same content. */
  name: string;
  /** Makes the file; called only where it is not there yet. The file is removed once it is there. */
  make: () => Promise<{ path: string; size: number }>;
}

/** Files that somebody reads. */
export interface Held {
  /** What a container must be created with to read them. */
  reads: { volume: string; at: string };
  /** To be called when the containers that read them are gone. */
  release: () => Promise<void>;
}

/** One volume, and the container that takes files in for it and never runs. */
interface Board {
  workspace: Workspace;
  holder: Container;
  sent: Map<string, Promise<void>>;
  bytes: number;
  readers: number;
}

/**
 * Files on the engine's side that many containers read: each is sent once, whoever wants it, and lies below
 * {@link SHELF} under its name. Sending them to every cell anew would be most of the orchestrator's own work.
 */
export class Shelf {
  private readonly engine: Engine;
  private readonly image: string;
  private readonly labels: Record<string, string>;
  private readonly warn: (text: string) => void;
  private readonly full: number;
  private current: Promise<Board> | undefined;
  private readonly boards = new Set<Board>();

  /**
   * @param image any image of the engine
   * @param warn told of what could not be removed
   * @param full bytes after which a volume is filled no further: it goes with its last reader, and a new one is begun
   */
  constructor(engine: Engine, image: string, labels: Record<string, string>, warn: (text: string) => void, full = FULL) {
    this.engine = engine;
    this.image = image;
    this.labels = labels;
    this.warn = warn;
    this.full = full;
  }

  /**
   * Make sure that files are there.
   * @throws EngineError; the next who wants one of them begins on a new volume
   */
  async hold(files: readonly ShelfFile[]): Promise<Held> {
    this.current ??= this.open();
    const opened = this.current;
    try {
      const board = await opened;
      board.readers++;
      try {
        for (const file of files) await send(board, file);
      } catch (error) {
        await this.release(board);
        throw error;
      }
      if (board.bytes >= this.full && this.current === opened) this.current = undefined;
      return { reads: { volume: board.workspace.volume, at: SHELF }, release: () => this.release(board) };
    } catch (error) {
      // Whatever is wrong with it, or with its holder, is not the next one's trouble.
      if (this.current === opened) this.current = undefined;
      throw error;
    }
  }

  /** Remove everything; nobody may use it any more. */
  async remove(): Promise<void> {
    await this.current?.catch(() => {});
    for (const board of this.boards) await board.workspace.remove(this.warn);
    this.boards.clear();
  }

  private async release(board: Board): Promise<void> {
    board.readers--;
    const current = await this.current?.catch(() => undefined);
    if (board.readers > 0 || board === current || !this.boards.delete(board)) return;
    await board.workspace.remove(this.warn);
  }

  private async open(): Promise<Board> {
    const { engine, image, labels } = this;
    const workspace = await Workspace.create(engine, labels);
    try {
      const limits = { memory: 64 * 2 ** 20, pids: 1 };
      const holder = await workspace.container({ image, command: ['false'], env: {}, labels, limits });
      const board = { workspace, holder, sent: new Map<string, Promise<void>>(), bytes: 0, readers: 0 };
      this.boards.add(board);
      return board;
    } catch (error) {
      await workspace.remove(() => {});
      throw error;
    }
  }
}

function send(board: Board, { name, make }: ShelfFile): Promise<void> {
  const put = async () => {
    const made = await make();
    board.bytes += made.size;
    await putFiles(board.holder, '/cell', [{ name, content: made }]).finally(() => rm(made.path, { force: true }));
  };
  const promise = board.sent.get(name) ?? put();
  board.sent.set(name, promise);
  return promise;
}
