import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** Lower-case hex SHA-256 of bytes or UTF-8 text. */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** SHA-256 and SHA-512 (lower-case hex) and size in bytes of a file, read once as a stream. */
export async function hashFile(path: string): Promise<{ sha256: string; sha512: string; size: number }> {
  const h256 = createHash('sha256');
  const h512 = createHash('sha512');
  let size = 0;
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      h256.update(chunk);
      h512.update(chunk);
      size += chunk.length;
    }
  });
  return { sha256: h256.digest('hex'), sha512: h512.digest('hex'), size };
}

/** Bytes that {@link sha256File} reads at once. */
const PIECE = 1 << 19;
/** Memory for reading that nobody uses now. */
const spare: Buffer[] = [];

/** SHA-256 (lower-case hex) of a file. As fast as the hash itself: reading goes on while the piece before is hashed. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path);
  let [now, next] = [spare.pop() ?? Buffer.allocUnsafe(PIECE), spare.pop() ?? Buffer.allocUnsafe(PIECE)];
  try {
    let reading = file.read(now, 0, PIECE);
    for (;;) {
      const { bytesRead } = await reading;
      if (bytesRead === 0) break;
      reading = file.read(next, 0, PIECE);
      // Awaited above, in the next round; until then its failure is nobody's.
      reading.catch(() => {});
      hash.update(now.subarray(0, bytesRead));
      [now, next] = [next, now];
    }
  } finally {
    await file.close();
    spare.push(now, next);
  }
  return hash.digest('hex');
}

/**
 * JSON with sorted keys, so that equal data gives equal bytes.
 * Members that are undefined are left out, as JSON.stringify does.
 * @param indent spaces for each level; no white space at all without it
 */
export function canonicalJson(value: unknown, indent = 0): string {
  const sorted = (_key: string, member: unknown) => {
    if (member === null || typeof member !== 'object' || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  };
  return JSON.stringify(value, sorted, indent);
}
