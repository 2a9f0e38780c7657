import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { indexText, type PublicationIndex, parseIndex } from '../../src/publish/index-file.ts';
import { newKey } from '../../src/publish/key.ts';
import { page } from '../../src/publish/page.ts';
import { lastingFolder } from '../support/lasting-folder.ts';
import { indexOf, makeArtifacts, publishTo } from '../support/published.ts';

const key = newKey();
const [artifacts, folder] = [lastingFolder(), lastingFolder()];
let index: PublicationIndex;
beforeAll(async () => {
  await makeArtifacts(artifacts, 'pv-grub-4.17.5-x86_64', key);
  await publishTo(folder, artifacts, key);
  index = indexOf(folder);
});

test('an index is read as it was written, and written in the same bytes whatever the order of its members', () => {
  expect(parseIndex(indexText(index), 'it')).toEqual(index);
  const reversed = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(reversed)
      : value !== null && typeof value === 'object'
        ? Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([name, member]) => [name, reversed(member)]),
          )
        : value;
  expect(indexText(reversed(index) as PublicationIndex)).toBe(indexText(index));
});

describe('an index is refused that', () => {
  type Image = PublicationIndex['images'][number];
  const image = (change: Partial<Image> | ((image: Image) => Image)) => (of: PublicationIndex) => ({
    ...of,
    images: of.images.map((one) => (typeof change === 'function' ? change(one) : { ...one, ...change })),
  });
  const named = (name: string) => image((one) => ({ ...one, image: { ...one.image, name } }));
  test.each<[string, (of: PublicationIndex) => object]>([
    ['has a path that leaves the folder', image({ path: '../../etc' })],
    ['has a path that leaves it further in', image({ path: 'pv-grub/4.17.5/x86_64/../../../0123456789abcdef' })],
    ['has an absolute path', image({ path: '/etc/0123456789abcdef' })],
    ['has a path of another cell', image({ path: 'pv-grub/4.16.0/x86_64/0123456789abcdef' })],
    ['names a file with a folder', named('../pv-grub-x86_64.gz')],
    ['names a hidden file', named('.profile')],
    ['names a file with a line end', named('a\nb')],
    ['names a file with a backslash', named('a\\b')],
    ['names an empty file name', named('')],
    ['names an attestation out of the folder', image((one) => ({ ...one, files: one.files.map((file) => ({ ...file, name: '../x' })) }))],
    ['has two files of one name', image((one) => ({ ...one, files: [...one.files, ...one.files] }))],
    ['has the image twice', image((one) => ({ ...one, files: [...one.files, one.image] }))],
    ['has an id twice', (of) => ({ ...of, images: [...of.images, ...of.images] })],
    ['has an id of another cell', image({ id: 'pv-grub-4.16.0-x86_64' })],
    ['has a size below nothing', image((one) => ({ ...one, image: { ...one.image, size: -1 } }))],
    ['has a size beyond all measure', image((one) => ({ ...one, image: { ...one.image, size: 2 ** 40 } }))],
    ['has a digest that is none', image((one) => ({ ...one, image: { ...one.image, sha256: 'AB' } }))],
    ['has another schema', (of) => ({ ...of, schema: 2 })],
    ['is of another kind', (of) => ({ ...of, kind: 'packages' })],
    ['has no serial', ({ serial: _, ...of }) => of],
    ['has a serial of nothing', (of) => ({ ...of, serial: 0 })],
    ['has an expiry that is no time', (of) => ({ ...of, expires: 'never' })],
    ['has a member that is not known', (of) => ({ ...of, run: 'rm' })],
    ['leads to a place that is no web address', (of) => ({ ...of, url: 'javascript:alert(1)' })],
    ['has superseded files out of the folder', (of) => ({ ...of, superseded: [{ id: 'x', path: '..', files: [] }] })],
  ])('%s', (_what, change) => {
    expect(() => parseIndex(JSON.stringify(change(index)), 'it')).toThrow(expect.objectContaining({ code: 'INDEX_INVALID' }));
  });

  test('is any other text, or any other JSON', () => {
    const refused = expect.objectContaining({ code: 'INDEX_INVALID' });
    fc.assert(fc.property(fc.string(), (text) => void expect(() => parseIndex(text, 'it')).toThrow(refused)));
    fc.assert(fc.property(fc.json(), (text) => void expect(() => parseIndex(text, 'it')).toThrow(refused)));
  });

  test('has any one member replaced by something else, or is read without harm', () => {
    const members = Object.keys(index) as (keyof PublicationIndex)[];
    fc.assert(
      fc.property(fc.constantFrom(...members), fc.jsonValue(), (name, value) => {
        try {
          parseIndex(JSON.stringify({ ...index, [name]: value }), 'it');
        } catch (error) {
          expect(error).toMatchObject({ code: 'INDEX_INVALID' });
        }
      }),
    );
  });
});

test('texts of an index cannot become markup of its page', () => {
  const evil = `<script>alert(1)</script>"'&\u202e`;
  const changed = {
    ...index,
    images: index.images.map((one) => ({
      ...one,
      warnings: [evil],
      unproven: [evil],
      reads: { kernelCompressions: [evil], fileSystems: [evil] },
    })),
  };
  const html = page(changed);
  expect(html.match(/<script>/g)).toHaveLength(1);
  expect(html).not.toContain('alert(1)</script>');
  expect(html).not.toContain('\u202e');
});
