import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import type { OutputChunk } from '../engine/demux.ts';
import { PHASE_MARK } from './scripts.ts';

const KEPT = 400;

/** Lines that tell why a build failed, the surest first. */
const REASONS = [
  /\berror: |undefined reference|multiple definition of|No space left on device|^(FATAL|fatal|ERROR|E): /,
  /: No such file or directory|: (command )?not found$|cannot /,
  /\*\*\* |Error \d+/,
];

/**
 * A cell's build log: writes the output to a file, tells phases as their marks come by, and keeps the last lines for
 * an error. stdout and stderr each keep their own half-written line.
 */
export class BuildLog {
  readonly path: string;
  private readonly file: WriteStream;
  private readonly onPhase: (phase: string) => void;
  private readonly pending = {
    stdout: { decoder: new StringDecoder('utf8'), rest: '' },
    stderr: { decoder: new StringDecoder('utf8'), rest: '' },
  };
  private readonly tail: string[] = [];
  private failure: Error | undefined;

  constructor(path: string, onPhase: (phase: string) => void) {
    this.path = path;
    this.onPhase = onPhase;
    this.file = createWriteStream(path);
    this.file.on('error', (error) => {
      this.failure ??= error;
    });
  }

  /** Take a piece of output; waits while the disk is slower than the build. */
  async write({ stream, data }: OutputChunk): Promise<void> {
    const state = this.pending[stream];
    const parts = (state.rest + state.decoder.write(data)).split('\n');
    state.rest = parts.pop() as string;
    await this.lines(parts);
  }

  /** Write one line of our own. */
  async say(text: string): Promise<void> {
    await this.lines([text]);
  }

  private async lines(parts: readonly string[]): Promise<void> {
    if (this.failure) throw this.failure;
    let out = '';
    for (const line of parts) {
      if (line.startsWith(PHASE_MARK)) {
        const phase = line.slice(1);
        this.onPhase(phase);
        out += `=== ${phase}\n`;
        continue;
      }
      out += `${line}\n`;
      this.tail.push(line);
      if (this.tail.length > KEPT) this.tail.splice(0, this.tail.length - KEPT);
    }
    if (out === '' || this.file.write(out)) return;
    // The one of the two that does not come must not stay behind as a listener.
    const over = new AbortController();
    try {
      await Promise.race([once(this.file, 'drain', { signal: over.signal }), once(this.file, 'close', { signal: over.signal })]);
    } finally {
      over.abort();
    }
  }

  /** The last lines that were written. */
  last(count: number): string[] {
    return this.tail.slice(-count);
  }

  /**
   * The first of the kept lines that is the reason of a failure: what a compiler or linker, the disk or a program says;
   * else what make says; else what may be one.
   */
  firstError(): string | undefined {
    for (const pattern of REASONS) {
      const line = this.tail.find((line) => pattern.test(line) && !/-Wno-error|\(ignored\)/.test(line));
      if (line !== undefined) return line;
    }
    return undefined;
  }

  /** Whether one of the kept lines matches. */
  has(pattern: RegExp): boolean {
    return this.tail.some((line) => pattern.test(line));
  }

  /**
   * Write what is left and close the file.
   * @throws the error of the disk, if there was one
   */
  async close(): Promise<void> {
    const { stdout, stderr } = this.pending;
    const rest = [stdout.rest + stdout.decoder.end(), stderr.rest + stderr.decoder.end()].filter((line) => line !== '');
    stdout.rest = stderr.rest = '';
    if (rest.length > 0 && !this.failure) await this.lines(rest);
    if (!this.file.destroyed) {
      this.file.end();
      await once(this.file, 'close').catch(() => {});
    }
    if (this.failure) throw this.failure;
  }
}
