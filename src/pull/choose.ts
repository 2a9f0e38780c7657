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
  const chosen = new Set<string>();
  const globs: string[] = [];
  for (const selector of selectors.length === 0 ? ['host'] : selectors) {
    const text = selector === 'host' ? hostVersion(xen) : selector;
    const [, loader, version, arch] = PLAIN.exec(text) ?? [];
    if (ids.includes(text)) chosen.add(text);
    else if (text !== '' && (loader ?? version))
      for (const id of nearest({ loader, version, arch }, images, notes, selector)) chosen.add(id);
    else globs.push(selector);
  }
  if (globs.length > 0) for (const id of select(ids, globs)) chosen.add(id);
  return { images: images.filter(({ id }) => chosen.has(id)), notes };
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
  const versions = [...new Set(fitting.map((image) => image.version))].sort(compareVersions);
  const best = version === 'latest' ? versions.at(-1) : bestVersion(version, versions);
  if (best === undefined)
    throw new UsageError('SELECTOR_NO_MATCH', `there is no ${loader}${arch === undefined ? '' : ` for ${arch}`} here`, {
      hint: `published are: ${[...new Set(images.map(({ loader, arch }) => `${loader} ${arch}`))].join(', ') || 'no images at all'}`,
    });
  if (version !== 'latest' && best !== version && (version.split('.').length > 2 || seriesOf(best) !== version))
    notes.push(`${selector}: there is no ${loader} of ${version}; the nearest is that of ${best}`);
  return fitting.filter((image) => image.version === best).map(({ id }) => id);
}

/** That version, else the newest of its series, else the newest before it, else the oldest. */
function bestVersion(version: string, versions: readonly string[]): string | undefined {
  if (versions.includes(version)) return version;
  const series = versions.filter((one) => seriesOf(one) === seriesOf(version));
  const before = versions.filter((one) => compareVersions(one, version) < 0);
  return series.at(-1) ?? before.at(-1) ?? versions[0];
}
