import { compareVersions, seriesOf } from '../catalog/version.ts';
import { UsageError } from '../errors.ts';
import { type DebFile, debFile, gzip9n } from './deb-file.ts';
import { allFiles, type PublishedImage } from './index-file.ts';
import { bytesOf, type Prepared } from './prepare.ts';

/** Images as a Debian package: for hosts that are looked after with apt. */

/** What a packager says. */
export interface DebOptions {
  /** Name of the package. */
  name: string;
  /** `Name <address>`. */
  maintainer: string;
  homepage?: string | undefined;
  /** When it is made: each package is newer to apt than the one before. */
  date: Date;
}

/** A package. */
export interface Deb {
  file: string;
  bytes: Buffer;
}

/** Where the images are. */
const FOLDER = 'usr/lib/pv-grub';

/** The licence of each loader as a whole (catalog/licences.json), and Debian's name of its text. */
const LICENCES: Record<PublishedImage['loader'], { name: string; holders: string; source: string }> = {
  'pv-grub': {
    name: 'GPL-2',
    holders: 'Free Software Foundation, Inc., the Xen and Mini-OS authors, and those of newlib, zlib and pciutils',
    source: 'https://xenbits.xenproject.org/',
  },
  pvgrub2: { name: 'GPL-3+', holders: 'Free Software Foundation, Inc.', source: 'https://www.gnu.org/software/grub/' },
};

/**
 * Make a package of images: each with its signature and provenance below /usr/lib/pv-grub, the newest pv-grub of each
 * series of Xen also where Debian's Xen of that series looks. Its version is that of the newest image, and the date.
 * @throws UsageError OPTION_INVALID
 */
export async function deb(prepared: readonly Prepared[], { name, maintainer, homepage, date }: DebOptions): Promise<Deb> {
  if (!/^[a-z0-9][a-z0-9+.-]+$/.test(name))
    throw new UsageError('OPTION_INVALID', `"${name}" is no name of a package`, { expected: 'lower-case letters, digits, + - .' });
  if (!/^[^<>\n]+ <[^<>\s]+@[^<>\s]+>$/.test(maintainer))
    throw new UsageError('OPTION_INVALID', `"${maintainer}" is no maintainer`, {
      expected: 'Name <address>',
      hint: "--maintainer 'Jane Doe <jane@example.org>', or DEBFULLNAME and DEBEMAIL",
    });
  const images = prepared.map(({ image }) => image);
  const version = `${newest(images)}+${date.toISOString().replace(/\D/g, '').slice(0, 12)}`;
  const loaders = [...new Set(images.map(({ loader }) => loader))].sort();
  const files: DebFile[] = [...links(images), ...texts(name, version, maintainer, images, date)];
  for (const one of prepared)
    for (const { name: file } of allFiles(one.image))
      if (file === one.image.image.name || /\.(minisig|intoto\.jsonl|cdx\.json|buildinfo)$/.test(file))
        files.push({ path: `${FOLDER}/${folderOf(one.image)}/${file}`, content: await bytesOf(one, file) });
  const control = {
    Package: name,
    Version: version,
    Architecture: 'all',
    Maintainer: maintainer,
    Section: 'kernel',
    Priority: 'optional',
    ...(homepage === undefined ? {} : { Homepage: homepage }),
    Enhances: 'xen-utils-common',
    Description: `boot loaders for Xen PV guests (${loaders.join(', ')})\n${description(images)}`,
  };
  return { file: `${name}_${version}_all.deb`, bytes: await debFile({ control, files, date }) };
}

function newest(images: readonly PublishedImage[]): string {
  const own = images.filter(({ loader }) => loader === 'pv-grub');
  return (own.length > 0 ? own : images)
    .map(({ version }) => version)
    .sort(compareVersions)
    .at(-1) as string;
}

const folderOf = ({ loader, version }: PublishedImage) => `${loader}-${version}`;

/** Where Debian's Xen looks for a kernel without a path: the newest pv-grub of each series. */
function links(images: readonly PublishedImage[]): DebFile[] {
  const best = new Map<string, PublishedImage>();
  for (const image of images.filter(({ loader }) => loader === 'pv-grub')) {
    const place = `usr/lib/xen-${seriesOf(image.version)}/boot/${image.image.name}`;
    const before = best.get(place);
    if (!before || compareVersions(before.version, image.version) < 0) best.set(place, image);
  }
  return [...best].map(([path, image]) => ({ path, link: `../../pv-grub/${folderOf(image)}/${image.image.name}` }));
}

function description(images: readonly PublishedImage[]): string {
  const lines = [
    'A guest that boots its own kernel from its own disk has one of these as',
    'its kernel. Each image has its signature and provenance beside it.',
    '.',
    'In this package are:',
    ...images.map(({ id }) => ` ${id}`),
  ];
  return lines.map((line) => ` ${line}`).join('\n');
}

/** What a package of Debian has in /usr/share: copyright, changelog, and what lintian is to know. */
function texts(name: string, version: string, maintainer: string, images: readonly PublishedImage[], date: Date): DebFile[] {
  const loaders = [...new Set(images.map(({ loader }) => loader))].sort();
  const changelog = `${name} (${version}) unstable; urgency=medium\n\n${images.map(({ id, image }) => `  * ${id}: SHA-256\n    ${image.sha256}\n`).join('')}\n -- ${maintainer}  ${date.toUTCString().replace('GMT', '+0000')}\n`;
  const stanzas = loaders.map((loader) => {
    const { name, holders } = LICENCES[loader];
    return `Files: ${FOLDER}/${loader}-*\nCopyright: ${holders}\nLicense: ${name}\n`;
  });
  const licences = [...new Set(loaders.map((loader) => LICENCES[loader].name))].map(
    (name) =>
      `License: ${name}\n On Debian systems, the text of this licence is in\n /usr/share/common-licenses/${name.replace('+', '')}. The sources of an image are those that\n its provenance (.intoto.jsonl) names; whoever gives out this package gives\n them, too: pvgrub sources export --for <image>.\n`,
  );
  const copyright = [
    `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nSource: ${loaders.map((loader) => LICENCES[loader].source).join('\n ')}\n`,
    `Files: *\nCopyright: ${date.getUTCFullYear()} ${maintainer}\nLicense: ${LICENCES[loaders[0] as PublishedImage['loader']].name}\n`,
    ...stanzas,
    ...licences,
  ].join('\n');
  // They run in guests, not here; that a loader is an ELF file with no libraries is what it is.
  const binaries = images.filter(({ loader }) => loader === 'pvgrub2').map((image) => `${FOLDER}/${folderOf(image)}/${image.image.name}`);
  const overrides = ['arch-independent-package-contains-binary-or-object', 'statically-linked-binary'].flatMap((tag) =>
    binaries.map((path) => `${name}: ${tag} [${path}]\n`),
  );
  const doc = `usr/share/doc/${name}`;
  return [
    { path: `${doc}/copyright`, content: Buffer.from(copyright) },
    { path: `${doc}/changelog.gz`, content: gzip9n(Buffer.from(changelog)) },
    ...(overrides.length > 0
      ? [
          {
            path: `usr/share/lintian/overrides/${name}`,
            content: Buffer.from(`# Kernels of guests: no program of this system.\n${overrides.join('')}`),
          },
        ]
      : []),
  ];
}
