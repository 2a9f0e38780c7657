import type { Finding } from './explain.ts';

/** What reproducing a cell gave, as its metadata has it and as text. Pure. */

/** In an image's metadata: whether it came about again, bit for bit. */
export interface ReproduceMetadata {
  ok: boolean;
  /** When, ISO 8601. */
  when: string;
  engine: string;
  /** Names of the variations that it was built under, all at once (docs/reproduce.md). */
  variations: string[];
  /** Whether the debug file came about again, too, in the last run that could tell: it names its build path. */
  debug?: boolean;
  /** Where it did not: the SHA-256 that it gave (none where the build failed), and what differs. */
  sha256?: string;
  findings?: Finding[];
  /** What came of it with nothing varied, and the variations that change it by themselves; absent where that was not found out. */
  unvaried?: Blame['unvaried'];
  blame?: string[];
}

/** What is to blame for another image. */
export interface Blame {
  /** What building it again with nothing varied gives. */
  unvaried: 'same' | 'differs' | 'fails';
  /** Names of the variations that change it by themselves; none where it is not the same with nothing varied. */
  blame: string[];
}

/** Which of two records of one image to keep: a later one does not undo what an earlier one has shown under more variations. */
export function weightier<T extends { ok: boolean; variations: readonly string[] }>(was: T | undefined, is: T): T {
  if (!was || !is.ok) return is;
  return was.variations.every((name) => is.variations.includes(name)) ? is : was;
}

/** What is to blame, as words. */
export function blameText(found: Partial<Blame>): string {
  if (found.unvaried === undefined) return 'not found out';
  if (found.unvaried === 'fails') return 'no variation; it cannot be built with nothing varied, either';
  if (found.unvaried === 'differs') return 'no variation; it is another one with nothing varied, too';
  return found.blame?.join(', ') || 'no variation alone, only several together';
}

/** What differs and what is to blame, for an error or a file. */
export function differenceText(findings: readonly Finding[], blame: Partial<Blame>): string {
  return [...findings.map(({ where, what }) => `${where}: ${what}`), `to blame: ${blameText(blame)}`].join('\n');
}
