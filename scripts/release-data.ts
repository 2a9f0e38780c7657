import type { Catalog, Release } from '../src/catalog/types.ts';
import { compareVersions, inRange, seriesOf } from '../src/catalog/version.ts';

/** What a git repository tells of a release of Xen, and how it goes into the catalog. Pure. */

/** What was read of a release. */
export interface ReleaseFacts {
  version: string;
  /** Day of the tagged commit, ISO 8601, UTC. */
  date: string;
  /** The commit that the tag names. */
  commit: string;
  /** `Security-Support-Until` of its SUPPORT.md. */
  securityUntil?: string;
  /** Mini-OS's revision as its Config.mk names it, and the commit behind it where that could be looked up. */
  miniOs?: { revision: string; commit?: string };
}

/** The last day of security support that a SUPPORT.md names (its format: docs/support-matrix-generate of Xen). */
export function securityUntil(supportMd: string): string | undefined {
  return /^\s*Security-Support-Until:\s*(\d{4}-\d\d-\d\d)\s*$/m.exec(supportMd)?.[1];
}

/** The Mini-OS revision that a Config.mk names: a tag, or a commit; undefined where Mini-OS is part of the tree. */
export function miniOsRevision(configMk: string): string | undefined {
  return /^MINIOS_UPSTREAM_REVISION\s*\??=\s*(\S+)\s*$/m.exec(configMk)?.[1];
}

type Parts = Pick<Catalog, 'xen' | 'miniOs'>;

/**
 * The catalog with a release added, in its place by version: its series too, and the range of its Mini-OS widened or
 * begun.
 * @throws Error where the version is there with another commit, or a range of Mini-OS says something else
 */
export function withRelease({ xen, miniOs }: Parts, facts: ReleaseFacts): Parts {
  const { version, date, commit } = facts;
  const there = xen.releases.find((entry) => entry.version === version);
  if (there && there.commit !== commit) throw new Error(`${version} is in the catalog with another commit: ${there.commit}, not ${commit}`);
  const added: Release = there ?? { version, date, commit };
  const releases = [...xen.releases.filter((entry) => entry !== there), added].sort((a, b) => compareVersions(a.version, b.version));
  return {
    xen: { ...xen, series: seriesWith(xen.series, facts), releases },
    miniOs: { ...miniOs, ranges: rangesWith(miniOs.ranges, facts) },
  };
}

function seriesWith(list: Catalog['xen']['series'], { version, securityUntil }: ReleaseFacts): Catalog['xen']['series'] {
  const series = seriesOf(version);
  const there = list.find((entry) => entry.series === series);
  // Later releases have moved the day on, so far; an older tag that is read again must not move it back.
  const until =
    [there?.securityUntil, securityUntil]
      .filter((day) => typeof day === 'string')
      .sort()
      .at(-1) ?? null;
  return [...list.filter((entry) => entry !== there), { series, securityUntil: until }].sort((a, b) => compareVersions(a.series, b.series));
}

type Range = Catalog['miniOs']['ranges'][number];

function rangesWith(ranges: readonly Range[], { version, miniOs }: ReleaseFacts): Range[] {
  if (!miniOs) return [...ranges];
  const commit = miniOs.commit ?? null;
  const covering = ranges.find((range) => inRange(version, range));
  if (covering) {
    // A commit that could not be looked up contradicts nothing.
    if (covering.commit !== null && (commit === null || commit === covering.commit)) return [...ranges];
    if (covering.commit === null && covering.tag === miniOs.revision)
      return ranges.map((range) => (range === covering && commit !== null ? known(range, commit) : range));
    throw new Error(
      `${version} wants Mini-OS ${miniOs.revision} (${commit ?? 'commit not known'}); the catalog has ${covering.commit ?? covering.tag}`,
    );
  }
  const before = ranges.filter((range) => compareVersions(range.to ?? version, version) < 0).at(-1);
  const goesOn = before && (before.commit === null ? before.tag === miniOs.revision : before.commit === commit);
  if (goesOn) {
    const wider = { ...before, to: version };
    return ranges.map((range) => (range !== before ? range : commit !== null && before.commit === null ? known(wider, commit) : wider));
  }
  const begun: Range = { from: version, to: version, commit, ...(commit ? {} : { tag: miniOs.revision }) };
  return [...ranges, begun].sort((a, b) => compareVersions(a.from ?? '', b.from ?? ''));
}

/** A range whose commit has become known needs its tag no more. */
function known({ tag: _, ...range }: Range, commit: string): Range {
  return { ...range, commit };
}
