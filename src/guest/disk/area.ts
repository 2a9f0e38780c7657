/** Bytes of a guest's disk, read where they are wanted. Pure: what reads is given. */

/** Thrown where a disk does not hold what its own tables say: it is damaged, cut off, or made to harm. */
export class Damaged extends Error {}

/** Reads `length` bytes at `offset` of a disk; fewer at its end. */
export type ReadAt = (offset: number, length: number) => Uint8Array;

/** Reads of one disk, and bytes of them, at the most. A large /boot takes some thousands; a hostile disk ends here, after seconds. */
const MAX_READS = 200_000;
const MAX_BYTES = 2 ** 31;
/** One read has no more bytes than this. */
const MAX_READ = 1 << 20;

/** What is left of a disk's reads; parts of a disk share it. */
interface Purse {
  reads: number;
  bytes: number;
}

/** A disk, or a part of it: bytes from 0 to {@link Area.size}, and never one beyond. */
export class Area {
  readonly size: number;
  private readonly readAt: ReadAt;
  private readonly start: number;
  private readonly purse: Purse;

  /** @param size in bytes */
  constructor(readAt: ReadAt, size: number, start = 0, purse: Purse = { reads: MAX_READS, bytes: MAX_BYTES }) {
    this.readAt = readAt;
    this.size = size;
    this.start = start;
    this.purse = purse;
  }

  /** A part of it; what reaches beyond its end is cut off. */
  part(start: number, size: number): Area {
    const from = Math.min(start, this.size);
    return new Area(this.readAt, Math.min(size, this.size - from), this.start + from, this.purse);
  }

  /**
   * Exactly these bytes.
   * @throws Damaged where they are not all there, or too much was read already
   */
  bytes(offset: number, length: number): Buffer {
    if (!(Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && length <= MAX_READ && offset + length <= this.size))
      throw new Damaged(`byte ${offset} to ${offset + length} is wanted, but there are ${this.size}`);
    this.purse.bytes -= length;
    if (this.purse.reads-- <= 0 || this.purse.bytes < 0) throw new Damaged('its tables lead on and on');
    const found = this.readAt(this.start + offset, length);
    if (found.length !== length) throw new Damaged(`it ends at byte ${this.start + offset + found.length}`);
    return Buffer.from(found.buffer, found.byteOffset, found.byteLength);
  }

  /** These bytes, or zeros where there are none. */
  peek(offset: number, length: number): Buffer {
    return offset + length <= this.size ? this.bytes(offset, length) : Buffer.alloc(length);
  }
}

/** An area of bytes in memory. */
export function areaOf(bytes: Uint8Array): Area {
  return new Area((offset, length) => bytes.subarray(offset, offset + length), bytes.length);
}
