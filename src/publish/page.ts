import { compareVersions, seriesOf } from '../catalog/version.ts';
import { formatBytes } from '../config/units.ts';
import { printable } from '../errors.ts';
import { chosen, pullCommands, verifyCommands } from './commands.ts';
import type { PublicationIndex, PublishedImage } from './index-file.ts';
import { parsePublicKey } from './key.ts';
import { POLICY, SCRIPT, STYLE } from './page-style.ts';

/** `index.html`: what there is, what is proven of it, how to get and check it, for people. Pure. */

const LOADERS: Record<PublishedImage['loader'], { title: string; what: string; of: string }> = {
  'pv-grub': {
    title: 'pv-grub',
    of: 'Xen',
    what: 'GRUB 0.97 in Xen’s own small kernel. It reads the guest’s menu.lst. Take the Xen release nearest to yours; one that is not the same works, too.',
  },
  pvgrub2: {
    title: 'pvgrub2',
    of: 'GRUB',
    what: 'GRUB 2 for Xen guests. It reads the guest’s grub.cfg, and file systems that GRUB 0.97 cannot. It goes with every Xen release.',
  },
};

const WIDTHS: Record<PublishedImage['arch'], string> = {
  x86_64: 'x86_64: for 64-bit kernels',
  x86_32: 'x86_32: for 32-bit kernels (PAE)',
  x86_32_pvh: 'x86_32_pvh: for PVH guests',
};

function html(text: string): string {
  return printable(text).replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
}

/** The page of a publication. It says nothing that is not in the index. */
export function page(index: Omit<PublicationIndex, 'files'>): string {
  const { publication, images, serial, issued, expires, key } = index;
  const loaders = (['pv-grub', 'pvgrub2'] as const).filter((loader) => images.some((image) => image.loader === loader));
  const title = loaders.length === 0 ? 'Boot loaders for Xen PV guests' : `${loaders.join(' and ')}: boot loaders for Xen PV guests`;
  const newest = [...images].sort(newestFirst)[0];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${html(POLICY)}">
<title>${html(title)}</title><style>${STYLE}</style></head><body>
<header><h1>${html(title)}</h1>
<p>For Xen guests that boot their own kernel from their own disk. Every image is built from the sources that its provenance names, in a container without network, and is signed.</p>
<dl><dt>publication</dt><dd>${html(publication)}, ${images.length} ${images.length === 1 ? 'image' : 'images'}, serial ${serial}</dd>
<dt>issued</dt><dd>${day(issued)}, holds until ${day(expires)}</dd>
<dt>key</dt><dd><code>${key}</code> (${parsePublicKey(key, 'key').id}). This page and a key on it may both be forged: compare it with the publisher’s by another way.</dd></dl></header>
<main>
${newest ? howTo(index, newest) : ''}
<h2 id="images">Images</h2>
<div id="filter"><label>Filter: <input type="search" placeholder="4.17 x86_64"></label> <span id="count" class="soft" aria-live="polite"></span></div>
${loaders
  .map((loader) =>
    loaderPart(
      loader,
      images.filter((image) => image.loader === loader),
    ),
  )
  .join('\n')}
</main>
<footer><p class="soft">The same for programs: <a href="index.json">index.json</a> (<a href="index.json.minisig">signature</a>). Checksums: <a href="SHA256SUMS">SHA256SUMS</a> (<a href="SHA256SUMS.minisig">minisign</a>, <a href="SHA256SUMS.sig">ssh-keygen</a>). Sources of an image: its provenance names each by SHA-256.</p></footer>
<script>${SCRIPT}</script></body></html>
`;
}

function day(time: string): string {
  return `<time datetime="${time}">${time.slice(0, 10)}</time>`;
}

function newestFirst(a: PublishedImage, b: PublishedImage): number {
  const loader = a.loader.localeCompare(b.loader, 'en');
  return loader || compareVersions(b.version, a.version) || (a.arch < b.arch ? 1 : a.arch > b.arch ? -1 : 0);
}

function howTo(index: Omit<PublicationIndex, 'files'>, image: PublishedImage): string {
  const { pull, shell } = pullCommands(index, image);
  return `<h2 id="get">Get one, check it, install it</h2>
<p>On the Xen host, as root (needs curl and minisign). For <a href="#images">another image</a>, take its <code>image=… want=…</code>:</p>
<pre id="shell"><code>${html(shell)}</code></pre>
<p>That is where Xen looks for a <code>kernel = "${html(image.image.name)}"</code> without a path; on other hosts it is <code>/usr/libexec/xen/boot</code>, or <code>/usr/lib/xen-4.1/boot</code> with the host’s own release. Any other folder does with its full path. pvgrub finds the right one, and keeps the image that was there:</p>
<pre id="pull"><code>${html(pull)}</code></pre>
<h2 id="verify">Check everything</h2>
<p>In a copy of this folder, with any of these tools:</p>
<pre id="check"><code>${html(verifyCommands(index).join('\n'))}</code></pre>`;
}

function loaderPart(loader: PublishedImage['loader'], images: readonly PublishedImage[]): string {
  const { title, what, of } = LOADERS[loader];
  const series = Map.groupBy([...images].sort(newestFirst), ({ version }) => seriesOf(version));
  const links = [...series.keys()].map((name) => `<a href="#${loader}-${name}">${name}</a>`);
  const parts = [...series].map(([name, list]) => seriesPart(`${loader}-${name}`, `${title} of ${of} ${name}`, list));
  return `<section class="loader"><h2 id="${loader}">${title}</h2>\n<p>${what}</p>\n<nav aria-label="${of} releases">${links.join('')}</nav>\n${parts.join('\n')}</section>`;
}

function seriesPart(id: string, title: string, images: readonly PublishedImage[]): string {
  const byReads = Map.groupBy(images, ({ reads }) => JSON.stringify(reads));
  const tables = [...byReads.values()].map((list) => {
    const { kernelCompressions, fileSystems } = (list[0] as PublishedImage).reads;
    const kernels = kernelCompressions.map((name) => (name === 'none' ? 'not compressed' : name));
    return `<p class="soft">Reads kernels: ${html(kernels.join(', '))}. File systems: ${html(fileSystems.join(', '))}.</p>
<table><thead><tr><th>Release</th><th>Width</th><th>Image</th><th>Proof</th><th>SHA-256</th></tr></thead><tbody>
${list.map(row).join('\n')}
</tbody></table>`;
  });
  return `<section class="series"><h3 id="${id}">${title}</h3>\n${tables.join('\n')}</section>`;
}

function row(image: PublishedImage): string {
  const { id, version, arch, path, image: file, files, warnings } = image;
  const link = (name: string, text = name) => `<a href="${path}/${html(name)}">${html(text)}</a>`;
  const cell = (label: string, content: string, more = '') => `<td data-label="${label}"${more}>${content}</td>`;
  const others = files.map(({ name }) => link(name)).join('<br>');
  const notes = warnings.map((text) => `<p class="soft">${html(text)}</p>`).join('');
  return `<tr id="${id}" data-find="${id} ${version} ${arch} ${html(file.name.toLowerCase())}">${cell('Release', version)}${cell('Width', `<span title="${WIDTHS[arch]}">${arch}</span>`)}${cell('Image', `${link(file.name)}<br><span class="soft nowrap">${formatBytes(file.size)}, ${file.size} bytes</span>`)}${cell('Proof', proof(image))}${cell(
    'SHA-256',
    `<code>${file.sha256}</code><details><summary>signature, provenance, logs</summary>${others}${notes}<p><code>${html(chosen(image))}</code></p></details>`,
    ' class="sum"',
  )}</tr>`;
}

function proof({ boot, reproduced, unproven }: PublishedImage): string {
  const good = [
    ...(boot?.ok ? [`booted in ${boot.hypervisor}, ${boot.cases} ${boot.cases === 1 ? 'case' : 'cases'}`] : []),
    ...(reproduced?.ok ? [`built again bit for bit, ${reproduced.variations.length} things varied`] : []),
  ];
  return [
    ...good.map((text) => `<span class="good">${html(text)}</span>`),
    ...unproven.map((text) => `<strong class="bad">unproven: ${html(text)}</strong>`),
  ].join('<br>');
}
