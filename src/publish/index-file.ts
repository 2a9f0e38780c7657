import { z } from 'zod';
import { VERSION } from '../catalog/version.ts';
import { VerifyError } from '../errors.ts';
import { canonicalJson } from '../util/hash.ts';

/** `index.json` of a publication: what there is, by digest, and by whose key. docs/publishing.md explains each member. Pure. */

/** An index has some kilobytes for each image; more is read from nobody. */
export const MAX_INDEX: number = 8 * 2 ** 20;
/** A signature of minisign has some hundred bytes. */
export const MAX_SIGNATURE = 10_000;
/** Names of the index and its signature. */
export const INDEX = 'index.json';
export const INDEX_SIGNATURE = 'index.json.minisig';
/** What else stands at the top. */
export const TOPS = ['SHA256SUMS', 'SHA256SUMS.minisig', 'SHA256SUMS.sig', 'index.html', 'key.pub'] as const;

const digest = z.string().regex(/^[0-9a-f]{64}$/);
/** One plain file name: no folder, no dot in front. */
const name = z
  .string()
  .max(200)
  .regex(/^\w[\w.+-]*$/);
const text = z.string().max(10_000);
const texts = z.array(text).max(1000);
const keyLine = z.string().regex(/^RW[A-Za-z0-9+/]{54}$/);
const keyId = z.string().regex(/^[0-9A-F]{16}$/);
const time = z.iso.datetime();

const file = z.strictObject({
  name,
  size: z
    .int()
    .nonnegative()
    .max(2 ** 30),
  sha256: digest,
});
/** Files with names that differ: two of one name would be one of them for one reader, and the other for another. */
const files = z
  .array(file)
  .max(1000)
  .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, 'the same name twice');
const folder = z.string().regex(/^(pv-grub|pvgrub2)\/\d+(\.\d+)+\/\w+\/[0-9a-f]{16}$/);

const image = z
  .strictObject({
    id: text,
    loader: z.enum(['pv-grub', 'pvgrub2']),
    version: z.string().max(40).regex(VERSION),
    arch: z.enum(['x86_64', 'x86_32', 'x86_32_pvh']),
    inputHash: digest,
    path: folder,
    image: file,
    files,
    reads: z.strictObject({ kernelCompressions: texts, fileSystems: texts }),
    boot: z.strictObject({ ok: z.boolean(), hypervisor: text, cases: z.int() }).nullable(),
    reproduced: z.strictObject({ ok: z.boolean(), variations: texts }).nullable(),
    unpinned: texts,
    unproven: texts,
    warnings: texts,
  })
  .refine(({ id, loader, version, arch }) => id === `${loader}-${version}-${arch}`, 'its id is not that of its cell')
  .refine(({ path, loader, version, arch }) => path.startsWith(`${loader}/${version}/${arch}/`), 'its path is not that of its cell')
  .refine(({ image, files }) => files.every(({ name }) => name !== image.name), 'the same name twice');

const unique = (key: 'id' | 'path') => (list: { id: string; path: string }[]) => new Set(list.map((one) => one[key])).size === list.length;

const succession = z.array(z.strictObject({ from: keyLine, to: keyLine, signature: z.string().max(2000) })).max(100);

const index = z.strictObject({
  schema: z.literal(1),
  kind: z.literal('pvgrub-forge publication'),
  publication: name,
  serial: z.int().positive(),
  issued: time,
  expires: time,
  url: z.url({ protocol: /^https?$/ }).optional(),
  key: keyLine,
  succession,
  revoked: z.array(z.strictObject({ key: keyId, when: time, why: text })).max(1000),
  previous: z.strictObject({ serial: z.int().positive(), sha256: digest }).nullable(),
  files,
  images: z.array(image).max(20_000).refine(unique('id'), 'the same id twice').refine(unique('path'), 'the same path twice'),
  superseded: z
    .array(z.strictObject({ id: text, path: folder, files }))
    .max(100_000)
    .refine(unique('path'), 'the same path twice'),
});

/** A file with its size in bytes and its SHA-256. */
export type PublishedFile = z.infer<typeof file>;
/** An image, where it is, and what is known of it. */
export type PublishedImage = z.infer<typeof image>;
/** The whole index. */
export type PublicationIndex = z.infer<typeof index>;
/** That one key follows another, signed by the one before. */
export type Succession = PublicationIndex['succession'][number];

function invalid(where: string, why: string): VerifyError {
  return new VerifyError('INDEX_INVALID', `${where} is no index of a publication: ${why}`, {
    expected: 'index.json as pvgrub publish writes it, schema 1',
    hint: 'look whether the address is right; a newer pvgrub may know a newer schema',
  });
}

function parsed<T>(schema: z.ZodType<T>, text: string, where: string): T {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw invalid(where, (error as Error).message);
  }
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalid(where, `${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'wrong'}`);
}

/** Who says that it has signed an index, and how to get to that key. All else is left alone. @throws VerifyError INDEX_INVALID */
export function parseSigner(text: string, where: string): Pick<PublicationIndex, 'key' | 'succession' | 'publication'> {
  return parsed(z.object({ key: keyLine, succession, publication: name }), text, where);
}

/**
 * Read an index. Nothing in it is proven by that: see openIndex.
 * @param where what to call it in errors
 * @throws VerifyError INDEX_INVALID
 */
export function parseIndex(text: string, where: string): PublicationIndex {
  return parsed(index, text, where);
}

/** An index as it is written: equal ones in equal bytes, in whatever order they were put together. */
export function indexText(content: PublicationIndex): string {
  return `${canonicalJson(content, 1)}\n`;
}

/** Every file of an image's folder. */
export function allFiles({ image, files }: Pick<PublishedImage, 'image' | 'files'>): PublishedFile[] {
  return [image, ...files];
}

/** What the signature of an image says in its trusted comment: against an old or another image under a new one's name. */
export function imageComment({ image, loader, version, arch, inputHash }: Omit<PublishedImage, 'path'>): string {
  return `file:${image.name} loader:${loader} version:${version} arch:${arch} input:${inputHash}`;
}

/** The same of the index. */
export function indexComment({ publication, serial, expires }: Pick<PublicationIndex, 'publication' | 'serial' | 'expires'>): string {
  return `file:${INDEX} publication:${publication} serial:${serial} expires:${expires}`;
}

/** Where the signature of the index with this SHA-256 stands for good, whatever becomes of index.json.minisig. */
export function lastingSignature(sha256: string): string {
  return `signatures/${sha256}.minisig`;
}
