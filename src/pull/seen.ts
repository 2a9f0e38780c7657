import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { VerifyError } from '../errors.ts';
import { type PublicKey, publicKeyLine } from '../publish/key.ts';
import { ifThere, writeFileAtomic } from '../util/files.ts';
import { sha256 } from '../util/hash.ts';
import type { Opened, Seen } from './trust.ts';

/** What is remembered of publications, a file for each key that a reader trusts: newest serial by name, name by place. */
const memory = z.object({
  publications: z.record(z.string(), z.object({ serial: z.int(), sha256: z.string(), key: z.string(), revoked: z.array(z.string()) })),
  places: z.record(z.string(), z.string()),
});

/** See {@link recall}. */
export class Memory {
  private readonly file: string;
  private readonly known: z.infer<typeof memory>;

  constructor(file: string, known: z.infer<typeof memory>) {
    this.file = file;
    this.known = known;
  }

  /** What was seen of a publication. */
  of(publication: string): Seen | undefined {
    return Object.hasOwn(this.known.publications, publication) ? this.known.publications[publication] : undefined;
  }

  /** @throws VerifyError PUBLICATION_DIFFERS where there was another publication at this place */
  demandSame(place: string, publication: string): void {
    const before = Object.hasOwn(this.known.places, place) ? this.known.places[place] : undefined;
    if (before === undefined || before === publication) return;
    throw new VerifyError('PUBLICATION_DIFFERS', `${place} has another publication than before`, {
      expected: before,
      got: publication,
      hint: `if that is meant so, remove ${this.file}`,
    });
  }

  /** Remember an index that was believed. */
  async keep(place: string, { index, sha256 }: Pick<Opened, 'index' | 'sha256'>): Promise<void> {
    const revoked = new Set([...(this.of(index.publication)?.revoked ?? []), ...index.revoked.map(({ key }) => key)]);
    const seen: Seen = { serial: index.serial, sha256, key: index.key, revoked: [...revoked] };
    this.known.publications[index.publication] = seen;
    this.known.places[place] = index.publication;
    await mkdir(join(this.file, '..'), { recursive: true });
    await writeFileAtomic(this.file, `${JSON.stringify(this.known, null, 1)}\n`);
  }
}

/**
 * What is remembered for a key. A file that cannot be read as such is an error: forgetting would let old indexes in.
 * @param folder of this product's state
 * @throws VerifyError INDEX_INVALID
 */
export async function recall(folder: string, key: PublicKey): Promise<Memory> {
  const file = join(folder, 'publications', `${sha256(publicKeyLine(key)).slice(0, 16)}.json`);
  const text = await ifThere(readFile(file, 'utf8'));
  if (text === undefined) return new Memory(file, { publications: {}, places: {} });
  try {
    return new Memory(file, memory.parse(JSON.parse(text)));
  } catch (error) {
    throw new VerifyError('INDEX_INVALID', `${file}, which remembers what was seen, cannot be read`, {
      hint: 'look why; removing it forgets which index was the newest',
      cause: error,
    });
  }
}
