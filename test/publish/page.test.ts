import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { newKey } from '../../src/publish/key.ts';
import { sha256 } from '../../src/util/hash.ts';
import { Chromium } from '../support/chromium.ts';
import { hasJudge } from '../support/judges.ts';
import { lastingFolder } from '../support/lasting-folder.ts';
import { indexOf, makeArtifacts, publishTo } from '../support/published.ts';
import { type Site, site } from '../support/site.ts';
import { tempFolder } from '../support/temp-folder.ts';

const key = newKey();
const WIDE = 'pv-grub-4.17.5-x86_64';
const [artifacts, folder] = [lastingFolder(), lastingFolder()];
let server: Site;

beforeAll(async () => {
  server = await site(() => folder);
  const ids = [
    'pv-grub-4.1.4-x86_32',
    'pv-grub-4.1.4-x86_64',
    'pv-grub-4.17.4-x86_64',
    WIDE,
    'pvgrub2-2.12-x86_32_pvh',
    'pvgrub2-2.12-x86_64',
  ];
  for (const [i, id] of ids.entries()) await makeArtifacts(artifacts, id, key, { size: 60_000 + i, unpinned: i === 1 });
  await publishTo(folder, artifacts, key, { allowUnproven: true, wishes: { url: server.url } });
});

const html = () => readFileSync(join(folder, 'index.html'), 'utf8');
/** The text of a block of commands on the page, as a reader copies it. */
function commands(id: string): string {
  const [, inner = ''] = new RegExp(`<pre id="${id}"><code>(.*?)</code>`, 's').exec(html()) ?? [];
  return inner.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
}
/** Run commands as a reader does, who has pasted them. */
async function bash(script: string, cwd: string, env: NodeJS.ProcessEnv = {}): Promise<{ status: number; stdout: string; stderr: string }> {
  const run = promisify(execFile)('bash', ['-c', script], { cwd, env: { ...process.env, ...env }, timeout: 20_000 });
  return run.then(
    ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
    ({ code, stdout, stderr }: { code?: number; stdout: string; stderr: string }) => ({ status: code ?? -1, stdout, stderr }),
  );
}

describe('the page says of each image', () => {
  test('release, width, size, SHA-256, what it reads, what is proven, and where its files are', () => {
    for (const { id, path, image, arch, version, files } of indexOf(folder).images) {
      const [row = ''] = new RegExp(`<tr id="${id}".*?</tr>`, 's').exec(html()) ?? [];
      for (const words of [version, arch, `${image.size} bytes`, image.sha256, 'booted in Xen 4.17.5, 1 case<', 'built again bit for bit'])
        expect(row).toContain(words);
      for (const { name } of [image, ...files]) expect(row).toContain(`href="${path}/${name}"`);
      expect(row.includes('unproven: built with sources that nothing proves: grub')).toBe(id === 'pv-grub-4.1.4-x86_64');
    }
    expect(html()).toMatch(
      /Reads kernels: not compressed, gzip\. File systems: ext2[^.]*\.<\/p>\s*<table>(?:(?!<\/table>).)*pv-grub-4\.1\.4/s,
    );
    expect(html()).toMatch(/Reads kernels: not compressed, gzip, bzip2, lzma, lzo, xz, lz4, zstd\./);
  });

  test('nothing that is loaded from elsewhere', () => {
    expect(html()).not.toMatch(/(src|href)="(?!#|index\.|SHA256SUMS|pv-grub\/|pvgrub2\/)/);
  });
});

describe.skipIf(!hasJudge('minisign') || !hasJudge('curl') || !hasJudge('ssh-keygen'))('the commands on the page', () => {
  const installed = (root: string) => join(root, 'usr/lib/xen/boot/pv-grub-x86_64.gz');

  test('are five lines that download, check and install an image', async () => {
    const [work, root] = [tempFolder(), tempFolder()];
    const script = commands('shell');
    expect(script.split('\n')).toHaveLength(5);
    expect(await bash(script, work, { DESTDIR: root })).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('version:4.17.5 arch:x86_64'),
    });
    const image = indexOf(folder).images.find(({ id }) => id === WIDE);
    expect(sha256(readFileSync(installed(root)))).toBe(image?.image.sha256);
    // Another image, by what its row offers.
    const [, offered = ''] = /<code>(image=pv-grub\/4\.1\.4\/x86_32.*?)<\/code>/.exec(html()) ?? [];
    const other = script.replace(
      /image=.*$/m,
      offered.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code))),
    );
    expect(await bash(other, tempFolder(), { DESTDIR: root })).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('version:4.1.4 arch:x86_32'),
    });
    expect(existsSync(join(root, 'usr/lib/xen/boot/pv-grub-x86_32.gz'))).toBe(true);
    // One that its signature does not fit.
    const wrong = await bash(script.replace('version:4.17.5', 'version:4.17.6'), tempFolder(), { DESTDIR: tempFolder() });
    expect(wrong).toMatchObject({ status: 1, stderr: expect.stringContaining('NOT installed') });
  });

  test.each<[string, (path: string) => string | Buffer | undefined]>([
    ['a changed image', (path) => (path.endsWith('.gz') ? 'changed' : undefined)],
    ['no image', (path) => (path.endsWith('.gz') ? '' : undefined)],
    [
      'an image of another cell with its own signature',
      (path) => {
        const { path: other } = indexOf(folder).images.find(({ id }) => id === 'pv-grub-4.17.4-x86_64') as { path: string };
        return /\.gz(\.minisig)?$/.test(path) ? readFileSync(join(folder, other, path.replace(/^.*\//, ''))) : undefined;
      },
    ],
  ])('install nothing where the server gives %s', async (_what, lie) => {
    const [work, root] = [tempFolder(), tempFolder()];
    server.trick = (path, _request, response) => {
      const content = lie(path);
      if (content === undefined) return false;
      response.writeHead(200).end(content);
      return true;
    };
    try {
      const { status } = await bash(commands('shell'), work, { DESTDIR: root });
      expect(status).toBeGreaterThan(0);
      expect(existsSync(installed(root))).toBe(false);
    } finally {
      server.trick = undefined;
    }
  });

  test('check everything in a copy of the folder', async () => {
    const check = commands('check');
    expect(check.split('\n').map((line) => line.split(' ')[0])).toEqual(['sha256sum', 'minisign', 'minisign', 'ssh-keygen']);
    for (const line of check.split('\n')) expect(await bash(line, folder)).toMatchObject({ status: 0 });
    const other = tempFolder();
    for (const name of ['SHA256SUMS', 'index.json']) writeFileSync(join(other, name), `${readFileSync(join(folder, name), 'utf8')}\n`);
    for (const name of ['SHA256SUMS.minisig', 'index.json.minisig', 'SHA256SUMS.sig'])
      writeFileSync(join(other, name), readFileSync(join(folder, name)));
    for (const line of check.split('\n')) expect((await bash(line, other)).status).toBeGreaterThan(0);
  });
});

describe.skipIf(!hasJudge('chromium'))('in Chromium', () => {
  let browser: Chromium;
  beforeAll(() => {
    browser = new Chromium();
  });
  const shown = () =>
    browser.value<string[]>(`[...document.querySelectorAll('tr[data-find]')].filter(row => row.checkVisibility()).map(row => row.id)`);
  const all = () => indexOf(folder).images.map(({ id }) => id);

  test('all images are there without scripts, and no filter that would do nothing', async () => {
    await browser.open(pathToFileURL(join(folder, 'index.html')).href, { width: 1200, scripts: false });
    await browser.send('Emulation.setScriptExecutionDisabled', { value: false });
    expect((await shown()).sort()).toEqual(all());
    expect(await browser.value(`document.querySelector('#filter').checkVisibility()`)).toBe(false);
  });

  test('the filter finds by release and width, hides what has no image left, and counts', async () => {
    await browser.open(pathToFileURL(join(folder, 'index.html')).href, { width: 1200 });
    const type = (text: string) =>
      browser.value(
        `{const input = document.querySelector('#filter input'); input.value = ${JSON.stringify(text)}; input.dispatchEvent(new Event('input')); document.querySelector('#count').textContent}`,
      );
    expect(await browser.value(`document.querySelector('#filter input').checkVisibility()`)).toBe(true);
    expect(await type('4.17 X86_64')).toBe('2 of 6');
    expect((await shown()).sort()).toEqual(['pv-grub-4.17.4-x86_64', WIDE]);
    expect(await browser.value(`[...document.querySelectorAll('section.series')].filter(part => part.checkVisibility()).length`)).toBe(1);
    expect(await type('nothing such')).toBe('0 of 6');
    await type('');
    expect((await shown()).sort()).toEqual(all());
  });

  test.each([360, 768, 1400])('at %i pixels nothing is wider than the window', async (width) => {
    await browser.open(pathToFileURL(join(folder, 'index.html')).href, { width });
    await browser.value(`document.querySelectorAll('details').forEach(one => one.open = true)`);
    expect(await browser.value('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    expect((await browser.picture()).length).toBeGreaterThan(20_000);
  });

  test.each([false, true])('texts stand out from their ground (dark: %s)', async (dark) => {
    await browser.open(pathToFileURL(join(folder, 'index.html')).href, { width: 1200, dark });
    // Contrast as WCAG 2.2 defines it; 4.5 is what level AA asks of text.
    const lowest = await browser.value<{ ratio: number; text: string; dark: boolean }>(`(() => {
      const channel = value => value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
      const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
      const ground = node => { for (; node; node = node.parentElement) { const colour = getComputedStyle(node).backgroundColor; if (!/, 0\\)|transparent/.test(colour)) return colour; } };
      const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const texts = [...document.querySelectorAll('body *')].filter(one => [...one.childNodes].some(child => child.nodeType === 3 && child.data.trim()) && !['SCRIPT', 'STYLE'].includes(one.tagName));
      const all = texts.map(one => ({ ratio: ratio(light(getComputedStyle(one).color), light(ground(one))), text: one.outerHTML.slice(0, 80) }));
      return { ...all.sort((a, b) => a.ratio - b.ratio)[0], dark: light(getComputedStyle(document.body).backgroundColor) < 0.2 };
    })()`);
    expect(lowest.dark).toBe(dark);
    expect(lowest.ratio, lowest.text).toBeGreaterThanOrEqual(4.5);
  });

  test('its own content security policy lets its script run', async () => {
    await browser.open(pathToFileURL(join(folder, 'index.html')).href, { width: 1200 });
    expect(await browser.value(`document.documentElement.classList.contains('scripts')`)).toBe(true);
  });
});
