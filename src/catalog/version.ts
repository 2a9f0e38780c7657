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

/** The series of a version, its first two numbers: 4.17 of 4.17.5. (GRUB's versions are series of one.) */
export function seriesOf(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

/** The newest version of each series. */
export function newestOfSeries(versions: readonly string[]): string[] {
  const newest = new Map<string, string>();
  for (const version of versions) {
    const before = newest.get(seriesOf(version));
    if (before === undefined || compareVersions(version, before) > 0) newest.set(seriesOf(version), version);
  }
  return [...newest.values()];
}

/** What a configuration may say instead of a version: * for all, 4.17.*, latest, 4.17.latest, *.latest. */
export const VERSION_PATTERN: RegExp = /^(\*|\d+\.\*|\d+\.\d+\.\*|latest|\d+\.\d+\.latest|\*\.latest)$/;

/**
 * The versions that an entry of a configuration means: itself, or those of the catalog that its pattern fits, oldest
 * first. Empty where a pattern fits none.
 */
export function meantVersions(entry: string, known: readonly string[]): string[] {
  if (!VERSION_PATTERN.test(entry)) return [entry];
  const ordered = known.toSorted(compareVersions);
  if (entry === 'latest') return ordered.slice(-1);
  const prefix = entry.replace(/(\*|latest)$/, '');
  // A version of two numbers is its own series.
  const fitting = ordered.filter((version) => prefix === '*.' || `${version}.`.startsWith(prefix));
  return entry.endsWith('*') ? fitting : newestOfSeries(fitting);
}
