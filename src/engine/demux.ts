import { Transform, type TransformCallback } from 'node:stream';
import { EngineError } from '../errors.ts';

/** One piece of a container's output. */
export interface OutputChunk {
  stream: 'stdout' | 'stderr';
  data: Buffer;
}

const HEADER = 8;
/** Larger frames do not come from an engine: the stream is not multiplexed, or it is damaged. */
const MAX_FRAME = 256 * 2 ** 20;

/**
 * Splits a multiplexed attach or log stream of the Docker Engine API into its pieces (8 bytes of header: the stream's
 * number, three zeros, the length as 32-bit big-endian). Written because docker-modem's demuxStream recurses once a
 * frame, copies quadratically, ignores back-pressure and drops a cut last frame without a word.
 * Payload is passed on as it arrives: no frame is held in memory. A stream that ends within a frame is an error.
 */
export class Demux extends Transform {
  private header = Buffer.alloc(HEADER);
  private headerLength = 0;
  private left = 0;
  private stream: OutputChunk['stream'] = 'stdout';

  constructor() {
    super({ readableObjectMode: true });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.left > 0) {
        const take = Math.min(this.left, chunk.length - at);
        this.push({ stream: this.stream, data: chunk.subarray(at, at + take) } satisfies OutputChunk);
        this.left -= take;
        at += take;
        continue;
      }
      const take = Math.min(HEADER - this.headerLength, chunk.length - at);
      chunk.copy(this.header, this.headerLength, at, at + take);
      this.headerLength += take;
      at += take;
      if (this.headerLength < HEADER) break;
      const kind = this.header[0];
      const length = this.header.readUInt32BE(4);
      if (
        (kind !== 0 && kind !== 1 && kind !== 2) ||
        this.header[1] !== 0 ||
        this.header[2] !== 0 ||
        this.header[3] !== 0 ||
        length > MAX_FRAME
      ) {
        callback(new Error(`not a multiplexed stream: header ${this.header.toString('hex')}`));
        return;
      }
      this.stream = kind === 2 ? 'stderr' : 'stdout';
      this.left = length;
      this.headerLength = 0;
    }
    callback();
  }

  override _flush(callback: TransformCallback): void {
    if (this.left > 0 || this.headerLength > 0) {
      callback(new EngineError('ENGINE_LOST', 'the engine went away: the output was cut within a frame', { hint: 'see that it runs' }));
    } else callback();
  }
}
