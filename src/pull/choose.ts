import { compareVersions, seriesOf } from '../catalog/version.ts';
import { UsageError } from '../errors.ts';
import { select } from '../plan/selector.ts';
import type { PublishedImage } from '../publish/index-file.ts';

/** Which images of a publication somebody means. Pure. */

/** Images, and what is to be said of the choice. */
export interface Choice {
  images: PublishedImage[];
  notes: string[];
}

/** A selector without a wildcard: a loader, or none; a version or series, or none; a width, or none. */
const PLAIN = /^(?:(pv-grub|pvgrub2)(?:-|$))?(\d+(?:\.\d+)+|latest)?(?:(?:^|-|(?<=-))(x86_64|x86_32|x86_32_pvh))?$/;

/**
 * The images that selectors mean: `4.17` the newest pv-grub of that series, in each width; `4.17-x86_64` one width;
 * `pvgrub2` the newest; globs over ids all that fit; `host`, or nothing, the one for the Xen that runs here.
 * Where a series is not there, the nearest one before it is taken (pv-grub is not tied to its release), and that is said.
 *
 * @param xen version of the Xen that runs here, if one does
 * @throws UsageError SELECTOR_NO_MATCH, SELECTOR_INVALID
 */
export function chooseImages(selectors: readonly string[], images: readonly PublishedImage[], xen: string | undefined): Choice {
  const notes: string[] = [];
  const ids = images.map(({ id }) => id);
  const without = selectors.filter((text) => text.startsWith('!'));
  const wanted = selectors.filter((text) => !text.startsWith('!'));
  const chosen = new Set<string>();
  for (const selector of selectors.length === 0 ? ['host'] : wanted) {
    const text = selector === 'host' ? hostVersion(xen) : selector;
    const [, loader, version, arch] = PLAIN.exec(text) ?? [];
    if (ids.includes(text)) chosen.add(text);
    else if (loader ?? version) for (const id of nearest({ loader, version, arch }, images, notes, selector)) chosen.add(id);
    else for (const id of select(ids, [selector])) chosen.add(id);
  }
  // With nothing but what to leave out, all else is meant.
  const left = select(wanted.length === 0 && without.length > 0 ? ids : [...chosen], without);
  return { images: images.filter(({ id }) => left.includes(id)), notes };
}

function hostVersion(xen: string | undefined): string {
  if (xen !== undefined) return xen;
  throw new UsageError('SELECTOR_NO_MATCH', 'no Xen runs here (there is no /sys/hypervisor/version)', {
    hint: "say for which Xen: pvgrub pull 4.17 …, or an id or glob such as 'pv-grub-4.17.*-x86_64'",
  });
}

function nearest(
  { loader = 'pv-grub', version = 'latest', arch }: { loader: string | undefined; version: string | undefined; arch: string | undefined },
  images: readonly PublishedImage[],
  notes: string[],
  selector: string,
): string[] {
  const fitting = images.filter((image) => image.loader === loader && (arch === undefined || image.arch === arch));
  if (fitting.length === 0)
    throw new UsageError('SELECTOR_NO_MATCH', `there is no ${loader}${arch === undefined ? '' : ` for ${arch}`} here`, {
      hint: `published are: ${[...new Set(images.map(({ loader, arch }) => `${loader} ${arch}`))].join(', ') || 'no images at all'}`,
    });
  const exact = fitting.filter((image) => image.version === version);
  if (exact.length > 0) return exact.map(({ id }) => id);
  const series = fitting.filter((image) => seriesOf(image.version) === seriesOf(version));
  const widths = Map.groupBy(series.length > 0 ? series : fitting, (image) => image.arch);
  const best = [...widths.values()].map((list) => bestOf(version, list));
  const isSeries = version === seriesOf(version) && series.length > 0;
  if (version !== 'latest' && !isSeries)
    notes.push(`${selector}: there is no ${loader} of ${version}; the nearest is ${best.map(({ id }) => id).join(', ')}`);
  return best.map(({ id }) => id);
}

/** Of images of one width: the newest of the series, else the newest before it, else the oldest; for `latest` the newest. */
function bestOf(version: string, images: readonly PublishedImage[]): PublishedImage {
  const sorted = images.toSorted((a, b) => compareVersions(a.version, b.version));
  const before = sorted.filter(
    (image) => version === 'latest' || seriesOf(image.version) === seriesOf(version) || compareVersions(image.version, version) < 0,
  );
  return (before.at(-1) ?? sorted[0]) as PublishedImage;
}
