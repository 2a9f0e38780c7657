/** Order and ranges of upstream versions: dotted numbers such as 4.1.6.1 or 2.14. */

/** Dotted numbers with at least one dot. */
export const VERSION: RegExp = /^\d+(\.\d+)+$/;

/** Whether a text is a version. */
export function isVersion(text: string): boolean {
  return VERSION.test(text);
}

/** Negative, zero or positive as `a` is before, the same as, or after `b`; a missing part counts as before 0. */
export function compareVersions(a: string, b: string): number {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? -1) - (right[i] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A closed range of versions; an end that is missing is open. */
export interface VersionRange {
  from?: string | null | undefined;
  to?: string | null | undefined;
}

/** Whether a version lies in a range, both ends included. */
export function inRange(version: string, range: VersionRange): boolean {
  if (range.from && compareVersions(version, range.from) < 0) return false;
  if (range.to && compareVersions(version, range.to) > 0) return false;
  return true;
}
