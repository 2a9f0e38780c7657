import type { Pins, SourceRef } from '../catalog/types.ts';
import { SourceError } from '../errors.ts';

/** What is known of the bytes of a tarball once it is here. */
export interface Identity {
  sha256: string;
  sha512: string;
  /** The git commit whose tree it was proved to hold. */
  commit?: string | undefined;
}

/** How a pin proved a source. */
export type Proof = 'sha256' | 'sha512' | 'commit';

/**
 * Which pin proves these bytes; undefined where none does. A tree from git is held against the commit alone, because its tarball has
 * a checksum of its own. A tarball is held against the checksums alone: where both are pinned, both must hold.
 */
export function provedBy(pins: Pins, identity: Identity): Proof | undefined {
  if (identity.commit !== undefined && pins.commit !== undefined) return identity.commit === pins.commit ? 'commit' : undefined;
  const checks = (['sha256', 'sha512'] as const).filter((name) => pins[name] !== undefined);
  if (checks.some((name) => pins[name] !== identity[name])) return undefined;
  return checks[0];
}

/** The error for bytes that no pin proves: names what was expected and what came. */
export function mismatch(name: string, pins: Pins, identity: Identity, where: string): SourceError {
  const expected = [
    ...(pins.sha256 === undefined ? [] : [`sha256 ${pins.sha256}`]),
    ...(pins.sha256 === undefined && pins.sha512 !== undefined ? [`sha512 ${pins.sha512}`] : []),
    ...(pins.commit === undefined ? [] : [`git commit ${pins.commit}`]),
  ];
  const got =
    identity.commit !== undefined
      ? `git commit ${identity.commit}`
      : pins.sha256 === undefined && pins.sha512 !== undefined
        ? `sha512 ${identity.sha512}`
        : `sha256 ${identity.sha256}`;
  if (expected.length === 0) {
    return new SourceError('SOURCE_UNPINNED', `nothing in the catalog proves ${name} from ${where}`, {
      expected: 'a pin',
      got,
      hint: `--trust ${name} takes it all the same; the result is then marked as unpinned`,
    });
  }
  return new SourceError('SOURCE_MISMATCH', `${name} from ${where} is not what the catalog pins`, {
    expected: expected.join(' or '),
    got,
    hint: `use another origin; only if you know these bytes to be right: --trust ${name} (the result is then marked as unpinned)`,
  });
}

/** Whether the user takes this source although nothing proves it. */
export function isTrusted(ref: Pick<SourceRef, 'name' | 'version'>, trust: readonly string[]): boolean {
  return trust.includes(ref.name) || trust.includes(`${ref.name}@${ref.version}`);
}
