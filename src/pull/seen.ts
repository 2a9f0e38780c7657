import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { UsageError, VerifyError } from '../errors.ts';
import { type PublicKey, publicKeyLine } from '../publish/key.ts';
import { claim } from '../sources/claim.ts';
import { ifThere, writeFileAtomic } from '../util/files.ts';
import { sha256 } from '../util/hash.ts';
import { inFolder } from './room.ts';
import type { Opened, Seen } from './trust.ts';

/** What is remembered of publications, a file for each key that a reader trusts: newest serial by name, name by place. */
const memory = z.object({
  publications: z.record(z.string(), z.object({ serial: z.int(), sha256: z.string(), key: z.string(), revoked: z.array(z.string()) })),
  places: z.record(z.string(), z.string()),
});

type Known = z.infer<typeof memory>;

/** A file that cannot be read as such is an error: forgetting would let old indexes in. */
async function readKnown(file: string): Promise<Known> {
  const text = await ifThere(readFile(file, 'utf8'));
  if (text === undefined) return { publications: {}, places: {} };
  try {
    return memory.parse(JSON.parse(text));
  } catch (error) {
    throw new VerifyError('INDEX_INVALID', `${file}, which remembers what was seen, cannot be read`, {
      hint: 'look why; removing it forgets which index was the newest',
      cause: error,
    });
  }
}

const member = <T>(of: Record<string, T>, name: string): T | undefined => (Object.hasOwn(of, name) ? of[name] : undefined);

/** See {@link recall}. */
export class Memory {
  private readonly file: string;
  private readonly known: Known;

  constructor(file: string, known: Known) {
    this.file = file;
    this.known = known;
  }

  /** What was seen of a publication. */
  of(publication: string): Seen | undefined {
    return member(this.known.publications, publication);
  }

  /** @throws VerifyError PUBLICATION_DIFFERS where there was another publication at this place */
  demandSame(place: string, publication: string): void {
    const before = member(this.known.places, place);
    if (before === undefined || before === publication) return;
    throw new VerifyError('PUBLICATION_DIFFERS', `${place} has another publication than before`, {
      expected: before,
      got: publication,
      hint: `if that is meant so, remove ${this.file}`,
    });
  }

  /**
   * Remember an index that was believed, beside what others have remembered meanwhile.
   * @throws UsageError FILE_UNREADABLE, SourceError STORE_DISK_FULL
   */
  async keep(place: string, { index, sha256 }: Pick<Opened, 'index' | 'sha256'>): Promise<void> {
    const folder = dirname(this.file);
    await inFolder(folder, async () => {
      await mkdir(folder, { recursive: true });
      const release = await claimSoon(this.file);
      try {
        const known = await readKnown(this.file);
        const before = member(known.publications, index.publication);
        const revoked = new Set([...(before?.revoked ?? []), ...index.revoked.map(({ key }) => key)]);
        const newer = before === undefined || before.serial <= index.serial;
        const seen = newer ? { serial: index.serial, sha256, key: index.key } : before;
        known.publications[index.publication] = { ...seen, revoked: [...revoked] };
        known.places[place] = index.publication;
        await writeFileAtomic(this.file, `${JSON.stringify(known, null, 1)}\n`);
      } finally {
        await release();
      }
    });
  }
}

/** A claim on what others hold for a moment only. */
async function claimSoon(file: string): Promise<() => Promise<void>> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const release = await claim(file);
    if (release) return release;
    await sleep(50);
  }
  throw new UsageError('FILE_THERE', `another process holds ${file}`, { hint: 'wait until it is done' });
}

/**
 * What is remembered for a key.
 * @param folder of this product's state
 * @throws VerifyError INDEX_INVALID
 */
export async function recall(folder: string, key: PublicKey): Promise<Memory> {
  const file = join(folder, 'publications', `${sha256(publicKeyLine(key)).slice(0, 16)}.json`);
  return new Memory(file, await readKnown(file));
}
