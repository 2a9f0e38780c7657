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
  /** Whether the debug file came about again, too; absent where there is none, and under another build path, which it names. */
  debug?: boolean;
  /** Where it did not: the SHA-256 that it gave (none where the build failed), the variations that change it by themselves, and what differs. */
  sha256?: string;
  blame?: string[];
  findings?: Finding[];
}

/**
 * What differs and what is to blame, for an error or a file.
 * @param steady whether it came about again with nothing varied
 * @param blame names of the variations that change it by themselves
 */
export function differenceText(findings: readonly Finding[], steady: boolean, blame: readonly string[]): string {
  const lines = findings.map(({ where, what }) => `${where}: ${what}`);
  if (!steady) lines.push('to blame: no variation; it is another one with nothing varied, too');
  else lines.push(`to blame: ${blame.length > 0 ? blame.join(', ') : 'no variation alone, only several together'}`);
  return lines.join('\n');
}
