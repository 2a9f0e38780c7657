import type { PublicKey } from '../publish/key.ts';
import { type Place, placeAt } from './place.ts';
import { readIndex } from './read-index.ts';
import { recall } from './seen.ts';
import type { Opened } from './trust.ts';

/**
 * Open a publication as a user does: its index is checked, must not be older than one seen before, and is remembered.
 * @param address URL, oci://registry/repository, or a folder
 * @param state folder of what is remembered
 * @throws VerifyError, SourceError as readIndex
 */
export async function openPublication(address: string, key: PublicKey, state: string): Promise<{ place: Place; opened: Opened }> {
  const place = await placeAt(address);
  const memory = await recall(state, key);
  const opened = await readIndex(place, { key, seen: (name) => memory.of(name), now: new Date() });
  memory.demandSame(place.name, opened.index.publication);
  await memory.keep(place.name, opened);
  return { place, opened };
}
