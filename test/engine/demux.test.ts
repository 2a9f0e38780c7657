import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Demux, type OutputChunk } from '../../src/engine/demux.ts';
import { frame } from '../support/fake-daemon.ts';
import { thrownBy } from '../support/temp-folder.ts';

/** What comes out of a demux that is fed these chunks. */
async function demuxed(chunks: Iterable<Uint8Array>): Promise<OutputChunk[]> {
  const demux = new Demux();
  const fed = pipeline(Readable.from(chunks, { objectMode: false }), demux);
  fed.catch(() => {});
  const pieces: OutputChunk[] = [];
  for await (const piece of demux) pieces.push(piece as OutputChunk);
  await fed;
  return pieces;
}

const textOf = (pieces: readonly OutputChunk[], stream?: OutputChunk['stream']): string =>
  Buffer.concat(pieces.filter((piece) => stream === undefined || piece.stream === stream).map((piece) => piece.data)).toString('latin1');

function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

test('any frames, cut into chunks anyhow, come out as the same bytes for each stream and in the same order', async () => {
  const frames = fc.array(fc.record({ kind: fc.constantFrom(0, 1, 2), data: fc.uint8Array({ maxLength: 40 }) }), { maxLength: 20 });
  const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(frames, sizes, async (list, chunkSizes) => {
      const pieces = await demuxed(cut(Buffer.concat(list.map(({ kind, data }) => frame(data, kind))), chunkSizes));
      const wanted = list.map(({ kind, data }): OutputChunk => ({ stream: kind === 2 ? 'stderr' : 'stdout', data: Buffer.from(data) }));
      for (const stream of ['stdout', 'stderr'] as const) expect(textOf(pieces, stream)).toBe(textOf(wanted, stream));
      expect(textOf(pieces)).toBe(textOf(wanted));
    }),
    { numRuns: 300 },
  );
});

test('100,000 tiny frames in one chunk do not overflow the stack', async () => {
  const many = Buffer.concat(Array.from({ length: 100_000 }, (_, i) => frame(String(i % 10), 1 + (i % 2))));
  const pieces = await demuxed([many]);
  expect(pieces).toHaveLength(100_000);
  expect(textOf(pieces, 'stderr').slice(0, 5)).toBe('13579');
});

test('a frame of 32 MiB in small chunks is passed on as it comes, not gathered', async () => {
  const size = 32 * 2 ** 20;
  const part = Buffer.alloc(4096, 'x');
  const demux = new Demux();
  let before: number | undefined;
  let fed = 0;
  const source = function* () {
    const header = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32BE(size, 4);
    yield header;
    for (; fed < size; fed += part.length) yield part;
  };
  const done = pipeline(Readable.from(source(), { objectMode: false }), demux);
  let got = 0;
  let largest = 0;
  for await (const { data } of demux as AsyncIterable<OutputChunk>) {
    before ??= fed;
    got += data.length;
    largest = Math.max(largest, data.length);
  }
  await done;
  expect(got).toBe(size);
  expect(largest).toBe(part.length);
  // The first piece came while nearly all of the frame was still to come.
  expect(before).toBeLessThan(2 ** 20);
});

test('a slow reader holds the writer back', async () => {
  const demux = new Demux();
  const part = frame(Buffer.alloc(16 * 1024));
  let written = 0;
  let read = 0;
  let ahead = 0;
  const source = function* () {
    for (; written < 500; written++) yield part;
  };
  const done = pipeline(Readable.from(source(), { objectMode: false }), demux);
  for await (const { data } of demux as AsyncIterable<OutputChunk>) {
    read += data.length;
    ahead = Math.max(ahead, written - read / (16 * 1024));
    for (let i = 0; i < 3; i++) await turn();
  }
  await done;
  expect(read).toBe(500 * 16 * 1024);
  expect(ahead).toBeLessThan(50);
});

test.each([
  ['a last frame', frame('hello').subarray(0, 10)],
  ['a last frame whose data is missing wholly', frame('hello').subarray(0, 8)],
  ['a header', frame('hello').subarray(0, 5)],
])('%s that is cut is a lost engine, not a silent end', async (_name, bytes) => {
  expect(await thrownBy(() => demuxed([frame('whole\n'), bytes]))).toMatchObject({ code: 'ENGINE_LOST' });
});

test.each([
  ['text', Buffer.from('Hello, this is a terminal\n')],
  ['a kind that does not exist', frame('x', 3)],
  ['padding that is not zero', Buffer.from([1, 0, 1, 0, 0, 0, 0, 1, 65])],
  ['a frame of more than 256 MiB', Buffer.from([1, 0, 0, 0, 0x10, 0, 0, 1])],
])('a stream that is not multiplexed is an error: %s', async (_name, bytes) => {
  expect(String(await thrownBy(() => demuxed([bytes])))).toContain('not a multiplexed stream');
});

test('an empty stream, and empty frames, are fine', async () => {
  expect(await demuxed([])).toEqual([]);
  expect(textOf(await demuxed([frame(''), frame('', 2), frame('a')]))).toBe('a');
});
