import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { indexComment, indexText, type PublicationIndex } from '../../src/publish/index-file.ts';
import { newKey, publicKeyLine } from '../../src/publish/key.ts';
import { minisignSignature } from '../../src/publish/minisign.ts';
import { sha256 } from '../../src/util/hash.ts';
import { pvgrub } from '../support/cli.ts';
import { lastingFolder } from '../support/lasting-folder.ts';
import { indexOf, makeArtifacts, publishTo } from '../support/published.ts';
import { site } from '../support/site.ts';
import { tempFolder } from '../support/temp-folder.ts';

const key = newKey();
const [artifacts, good] = [lastingFolder(), lastingFolder()];
const [WIDE, NARROW] = ['pv-grub-4.17.5-x86_64', 'pv-grub-4.17.5-x86_32'];

beforeAll(async () => {
  await makeArtifacts(artifacts, WIDE, key, { size: 40_000, unpinned: true });
  await makeArtifacts(artifacts, NARROW, key, { size: 30_000 });
  await publishTo(good, artifacts, key, { allowUnproven: true });
});

const verify = (what: string, ...more: string[]) => pvgrub(['verify', what, '--key', publicKeyLine(key.public), ...more]);
const imageOf = (id: string) => indexOf(good).images.find((one) => one.id === id) as PublicationIndex['images'][number];
const at = (folder: string, id: string, name: string) => join(folder, imageOf(id).path, name);

describe('verify of a publication', () => {
  test('tells in one line what was proven, and how to do it by hand', async () => {
    const { code, stdout } = await verify(good);
    expect(code).toBe(0);
    expect(stdout.split('\n')[0]).toMatch(
      /: pvgrub-forge serial \d+, holds until [\d-]+: 2 images, each with .*; 2 booted in a real Xen, 2 built again bit for bit, 1 with sources that nothing proves; nothing else is there$/,
    );
    for (const tool of ['sha256sum -c', 'minisign -Vm', 'ssh-keygen -Y verify']) expect(stdout).toContain(tool);
    const json = JSON.parse((await verify(good, '--json')).stdout) as object;
    expect(json).toMatchObject({ publication: 'pvgrub-forge', strays: true, images: [NARROW, WIDE] });
  });

  test('works over HTTP, and then says that it cannot see what else is there', async () => {
    const server = await site(() => good);
    expect(await verify(server.url)).toMatchObject({ code: 0, stdout: expect.stringContaining('cannot be seen from here') });
    server.trick = (path, _request, response) => {
      if (!path.endsWith('build.log')) return false;
      response.writeHead(200).end('another log');
      return true;
    };
    expect(await verify(server.url)).toMatchObject({ code: 6, stderr: expect.stringMatching(/build\.log: (sha256|larger)/) });
  });

  const broken: [string, (folder: string) => void, RegExp][] = [
    [
      'a changed image',
      (to) => writeFileSync(at(to, WIDE, 'pv-grub-x86_64.gz'), 'x'),
      /pv-grub-x86_64\.gz: sha256 .* 1 bytes; the index says/,
    ],
    ['a missing signature', (to) => rmSync(at(to, WIDE, 'pv-grub-x86_64.gz.minisig')), /pv-grub-x86_64\.gz\.minisig: missing/],
    ['a changed attestation', (to) => writeFileSync(at(to, NARROW, 'pv-grub-x86_32.gz.intoto.jsonl'), '{}'), /intoto\.jsonl: sha256/],
    ['changed sums', (to) => writeFileSync(join(to, 'SHA256SUMS'), `${'0'.repeat(64)}  x\n`), /SHA256SUMS: (sha256|larger)/],
    ['a changed page', (to) => writeFileSync(join(to, 'index.html'), 'run this'), /index\.html: sha256/],
    ['a stray file', (to) => writeFileSync(join(to, 'pv-grub/evil.gz'), 'x'), /pv-grub\/evil\.gz: named by nothing/],
    [
      'a stray in a folder of images',
      (to) => cpSync(join(to, 'key.pub'), join(to, 'pv-grub/4.17.5/again')),
      /pv-grub\/4\.17\.5\/again: named by nothing/,
    ],
    [
      'two images swapped',
      (to) => {
        const [a, b] = [at(to, WIDE, 'pv-grub-x86_64.gz'), at(to, NARROW, 'pv-grub-x86_32.gz')];
        const bytes = readFileSync(a);
        cpSync(b, a);
        writeFileSync(b, bytes);
      },
      /2 faults/,
    ],
  ];
  test.each(broken)('names %s: exit code 6', async (_what, change, words) => {
    const folder = tempFolder();
    cpSync(good, folder, { recursive: true });
    change(folder);
    expect(await verify(folder)).toMatchObject({ code: 6, stderr: expect.stringMatching(words) });
  });

  /** An index that its publisher has signed, and that is not true. */
  const lying: [string, (index: PublicationIndex, folder: string) => PublicationIndex, RegExp][] = [
    [
      'another image under a signature that is not its own',
      (index, folder) => {
        const bytes = readFileSync(at(folder, NARROW, 'pv-grub-x86_32.gz'));
        writeFileSync(at(folder, WIDE, 'pv-grub-x86_64.gz'), bytes);
        const image = { name: 'pv-grub-x86_64.gz', size: bytes.length, sha256: sha256(bytes) };
        return { ...index, images: index.images.map((one) => (one.id === WIDE ? { ...one, image } : one)) };
      },
      /is not signed by this key \(a signature of other bytes\)/,
    ],
    [
      'an image said to be pinned that is not',
      (index) => ({ ...index, images: index.images.map((one) => ({ ...one, unpinned: [] })) }),
      /sources that nothing proves/,
    ],
    [
      'another input hash',
      (index) => ({ ...index, images: index.images.map((one) => ({ ...one, inputHash: '0'.repeat(64) })) }),
      /its signature is for/,
    ],
    ['other sums than the images have', (index) => ({ ...index, images: index.images.slice(1) }), /SHA256SUMS: not the sums/],
    [
      'no attestations',
      (index, folder) => {
        for (const end of ['intoto.jsonl', 'cdx.json', 'buildinfo']) rmSync(at(folder, WIDE, `pv-grub-x86_64.gz.${end}`));
        const without = (one: PublicationIndex['images'][number]) => ({
          ...one,
          files: one.files.filter(({ name }) => !/intoto|cdx|buildinfo/.test(name)),
        });
        return { ...index, images: index.images.map((one) => (one.id === WIDE ? without(one) : one)) };
      },
      /has no pv-grub-x86_64\.gz\.intoto\.jsonl/,
    ],
  ];
  test.each(lying)('names %s, though the index is signed', async (_what, change, words) => {
    const folder = tempFolder();
    cpSync(good, folder, { recursive: true });
    const index = change(indexOf(folder), folder);
    writeFileSync(join(folder, 'index.json'), indexText(index));
    writeFileSync(join(folder, 'index.json.minisig'), minisignSignature(Buffer.from(indexText(index)), key, indexComment(index)));
    expect(await verify(folder)).toMatchObject({ code: 6, stderr: expect.stringMatching(words) });
  });

  test('wants a key, and a publication', async () => {
    expect(await pvgrub(['verify', good])).toMatchObject({ code: 2, stderr: expect.stringContaining('KEY_MISSING') });
    expect(await verify(tempFolder())).toMatchObject({ code: 3, stderr: expect.stringContaining('there is no publication') });
    expect(await verify('/no/such')).toMatchObject({ code: 2 });
    expect(await pvgrub(['verify', good, '--key', publicKeyLine(newKey().public)])).toMatchObject({ code: 6 });
  });
});

describe('verify of a file', () => {
  const copy = (id = WIDE) => {
    const folder = tempFolder();
    cpSync(join(good, imageOf(id).path), folder, { recursive: true });
    return join(folder, imageOf(id).image.name);
  };

  test('tells what its signature says, and checks its provenance', async () => {
    expect(await verify(copy())).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/version:4\.17\.5 arch:x86_64 input:[0-9a-f]{64}, and its provenance is of this image/),
    });
  });

  test.each<[string, (file: string) => void, RegExp]>([
    ['changed', (file) => void writeFileSync(file, 'x'), /SIGNATURE_INVALID/],
    ['with no signature', (file) => rmSync(`${file}.minisig`), /has no signature beside it/],
    ['with the signature of another', (file) => cpSync(`${copy(NARROW)}.minisig`, `${file}.minisig`), /SIGNATURE_INVALID/],
    ['with the provenance of another', (file) => cpSync(`${copy(NARROW)}.intoto.jsonl`, `${file}.intoto.jsonl`), /is of another image/],
  ])('%s: exit code 6', async (_what, change, words) => {
    const file = copy();
    change(file);
    expect(await verify(file)).toMatchObject({ code: 6, stderr: expect.stringMatching(words) });
  });

  test('under another name: exit code 6; as the previous one of an installation it is right', async () => {
    const file = copy();
    for (const end of ['', '.minisig']) for (const name of ['.new', '.previous']) cpSync(`${file}${end}`, `${file}${name}${end}`);
    expect(await verify(`${file}.previous`)).toMatchObject({ code: 0 });
    expect(await verify(`${file}.new`)).toMatchObject({ code: 6, stderr: expect.stringContaining('signed under another name') });
  });
});
