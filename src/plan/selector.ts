import { compareVersions, newestOfSeries, seriesOf } from '../catalog/version.ts';
import { UsageError } from '../errors.ts';

/** A plain text as the name of a series: pv-grub-4.17, or pv-grub-4.17-x86_64. Undefined where it cannot be one. */
function seriesPattern(text: string): RegExp | undefined {
  const [, series, arch] = /^(.+-\d+\.\d+)(-[a-z0-9_]+)?$/.exec(text) ?? [];
  return series === undefined ? undefined : new RegExp(`^${series.replaceAll('.', '\\.')}\\..*${arch ?? ''}$`);
}

/** One parsed selector: a glob over cell ids, or with `!` what to leave out again. */
interface Term {
  text: string;
  negative: boolean;
  pattern: RegExp;
  /** For a text without a wildcard that names no cell: what it means as a series, perhaps of one width. */
  series: RegExp | undefined;
}

/**
 * Under which other names a cell may be asked for: the newest of its series also as `pv-grub-4.17.latest-x86_64`, the
 * newest of its loader as `pv-grub-latest-x86_64`, too.
 */
function otherNames(ids: readonly string[]): Map<string, string[]> {
  const cells = ids.flatMap((id) => {
    const [, loader, version, arch] = /^(.+?)-(\d+(?:\.\d+)+)-([^-]+)$/.exec(id) ?? [];
    return loader && version && arch ? [{ id, loader, version, arch }] : [];
  });
  const names = new Map<string, string[]>();
  for (const [loader, list] of Map.groupBy(cells, (cell) => cell.loader)) {
    const newest = new Set(newestOfSeries(list.map((cell) => cell.version)));
    const [last] = [...newest].toSorted(compareVersions).slice(-1);
    for (const { id, version, arch } of list) {
      if (!newest.has(version)) continue;
      const more = version === last ? [`${loader}-latest-${arch}`] : [];
      names.set(id, [`${loader}-${seriesOf(version)}.latest-${arch}`, ...more]);
    }
  }
  return names;
}

/**
 * Parse one selector. `*` stands for any run of characters, `?` for one, `[ab]` for one of several, `{a,b}` for
 * alternatives; `!` in front excludes. A text without a wildcard may also name a loader, a loader and version or series,
 * or an id; `latest` stands for the newest version, `4.17.latest` for the newest of a series.
 * @throws UsageError SELECTOR_INVALID for an empty selector or unbalanced brackets
 */
function parse(text: string): Term {
  const negative = text.startsWith('!');
  const glob = negative ? text.slice(1) : text;
  const invalid = (why: string) =>
    new UsageError('SELECTOR_INVALID', `"${text}" is not a selector: ${why}`, {
      hint: "a glob over cell ids, such as 'pv-grub-4.1.*-x86_64', 'pv-grub-4.17.latest', 'pvgrub2-*' or '!*-x86_32'",
    });
  if (glob === '') throw invalid('it is empty');
  let source = '';
  let depth = 0;
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i] as string;
    // Several stars in a row are one: a regular expression would try every way to share the text among them.
    if (char === '*') source += glob[i - 1] === '*' ? '' : '.*';
    else if (char === '?') source += '.';
    else if (char === '[') {
      const end = glob.indexOf(']', i + (glob[i + 1] === '!' ? 3 : 2));
      if (end < 0) throw invalid('a [ without its ]');
      const inner = glob
        .slice(i + 1, end)
        .replace(/[\\\]^]/g, '\\$&')
        .replace(/^!/, '^');
      source += `[${inner}]`;
      i = end;
    } else if (char === '{') {
      depth++;
      source += '(?:';
    } else if (char === '}') {
      if (--depth < 0) throw invalid('a } without its {');
      source += ')';
    } else if (char === ',' && depth > 0) source += '|';
    else source += char.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  }
  if (depth > 0) throw invalid('a { without its }');
  const plain = !/[*?[{]/.test(glob);
  try {
    return {
      text,
      negative,
      pattern: new RegExp(plain ? `^${source}(?:-.*)?$` : `^${source}$`),
      series: plain ? seriesPattern(glob) : undefined,
    };
  } catch {
    throw invalid('a range in [] is the wrong way round');
  }
}

/**
 * The ids that selectors choose, in the order of `ids`. With only `!` selectors, all others are chosen; with none, all.
 * @throws UsageError SELECTOR_NO_MATCH for a selector (not a `!` one) that matches nothing
 */
export function select(ids: readonly string[], selectors: readonly string[]): string[] {
  const others = otherNames(ids);
  // Only who writes "latest" means those names: a glob must not fit them by accident.
  const names = (id: string, { text }: Term) => [id, ...(text.includes('latest') ? (others.get(id) ?? []) : [])];
  const fits = (id: string, term: Term) => names(id, term).some((name) => term.pattern.test(name));
  const terms = selectors.map(parse).map((term) => {
    const exact = term.series === undefined || ids.some((id) => fits(id, term));
    return exact ? term : { ...term, pattern: term.series as RegExp };
  });
  const positive = terms.filter((term) => !term.negative);
  for (const term of positive) {
    if (!ids.some((id) => fits(id, term))) {
      throw new UsageError('SELECTOR_NO_MATCH', `the selector "${term.text}" matches no cell`, {
        hint:
          ids.length > 0
            ? `pvgrub matrix lists all ${ids.length}; the nearest: ${nearest(ids, term.text).join(', ')}`
            : 'the configuration has no cells at all',
      });
    }
  }
  return ids.filter(
    (id) => (positive.length === 0 || positive.some((term) => fits(id, term))) && !terms.some((term) => term.negative && fits(id, term)),
  );
}

/** Up to three ids that share the most with a text: the longest common prefix first. */
function nearest(ids: readonly string[], text: string): string[] {
  const common = (id: string) => {
    let n = 0;
    while (n < text.length && id[n] === text[n]) n++;
    return n;
  };
  return ids.toSorted((a, b) => common(b) - common(a)).slice(0, 3);
}
