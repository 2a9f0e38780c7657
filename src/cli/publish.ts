import { join, resolve } from 'node:path';
import { outputError } from '../build/artifacts.ts';
import { positiveInteger } from '../config/settings.ts';
import { formatBytes } from '../config/units.ts';
import { UsageError } from '../errors.ts';
import { select } from '../plan/selector.ts';
import { FolderTarget } from '../publish/folder-target.ts';
import { loadPublicKey } from '../publish/key-files.ts';
import { type Prepared, preparedImages } from '../publish/prepare.ts';
import type { Wishes } from '../publish/publication.ts';
import { demandProven, publish } from '../publish/publish.ts';
import { placeAt } from '../pull/place.ts';
import { writeFileAtomic } from '../util/files.ts';
import { sha256 } from '../util/hash.ts';
import { print, printJson } from './context.ts';
import { interruptSignal } from './interrupt.ts';
import { signingKey } from './passphrase.ts';

/** Options of `pvgrub publish`. */
export interface PublishOptions {
  from?: string;
  key?: string;
  keyBefore?: string;
  nextKey?: string;
  revoke?: string[];
  why?: string;
  name?: string;
  url?: string;
  expires: string;
  withdraw?: string[];
  renew?: boolean;
  prune?: boolean;
  allowUnproven?: boolean;
  json?: boolean;
  /** Name of a Debian package, or true for its own. */
  deb?: string | boolean;
  maintainer?: string;
}

/** `pvgrub publish`: sign images and put them where people get them. */
export async function publishCommand(where: string, selectors: string[], options: PublishOptions): Promise<void> {
  const warn = (text: string) => void process.stderr.write(`pvgrub: ${text}\n`);
  const key = await signingKey(options.key, warn);
  const signal = interruptSignal(warn);
  const wishes = await wishesOf(options);
  const changes =
    wishes.withdraw.length > 0 || wishes.renew || wishes.nextKey || wishes.revoke.length > 0 || wishes.prune || options.name || options.url;
  if (options.from === undefined && !changes)
    throw new UsageError('OPTION_INVALID', 'publish needs --from', { expected: 'the folder that pvgrub build --out wrote' });
  const from = options.from;
  if (from !== undefined && resolve(from) === resolve(where))
    throw new UsageError('OPTION_INVALID', `${where} has the results themselves`, { hint: 'publish into a folder of its own' });
  const prepared = from === undefined ? [] : await preparedImages(resolve(from), (ids) => select(ids, selectors), key);
  if (options.deb !== undefined) return publishDeb(where, prepared, wishes, options);
  const { target, place } = await targetAt(where);
  const done = await publish({
    target,
    place,
    prepared,
    wishes,
    key,
    keyBefore: options.keyBefore === undefined ? undefined : await loadPublicKey(options.keyBefore),
    allowUnproven: options.allowUnproven ?? false,
    now: new Date(),
    signal,
  });
  const { index, added, replaced, withdrawn, untouched } = done;
  if (options.json)
    return printJson({ target: where, serial: index.serial, expires: index.expires, added, replaced, withdrawn, untouched });
  if (untouched) return print(`${where}: nothing has changed since serial ${index.serial}`);
  const parts = [`${added.length} new`, `${replaced.length} replaced`, ...(withdrawn.length > 0 ? [`${withdrawn.length} withdrawn`] : [])];
  print(
    `${where}: ${index.images.length} ${index.images.length === 1 ? 'image' : 'images'} (${parts.join(', ')}), serial ${index.serial}, holds until ${index.expires.slice(0, 10)}, signed by ${key.public.id}`,
  );
}

/** `--deb`: write a Debian package of the images into a folder. */
async function publishDeb(where: string, prepared: readonly Prepared[], { url }: Wishes, options: PublishOptions): Promise<void> {
  const { deb, maintainer, allowUnproven, json } = options;
  if (prepared.length === 0)
    throw new UsageError('OPTION_INVALID', 'a package needs --from', { expected: 'the folder that pvgrub build --out wrote' });
  if (!allowUnproven) demandProven(prepared);
  const { DEBFULLNAME, DEBEMAIL, SOURCE_DATE_EPOCH } = process.env;
  const made = await (await import('../publish/deb.ts')).deb(prepared, {
    name: typeof deb === 'string' ? deb : 'pv-grub',
    maintainer: maintainer ?? (DEBFULLNAME && DEBEMAIL ? `${DEBFULLNAME} <${DEBEMAIL}>` : ''),
    homepage: url,
    date: SOURCE_DATE_EPOCH === undefined ? new Date() : new Date(1000 * epoch(SOURCE_DATE_EPOCH)),
  });
  const file = join(resolve(where), made.file);
  await writeFileAtomic(file, made.bytes).catch((error: unknown) => {
    throw outputError(error, where);
  });
  if (json) return printJson({ file, sha256: sha256(made.bytes), images: prepared.map(({ image }) => image.id) });
  print(`${file}: ${prepared.length} images, ${formatBytes(made.bytes.length)}, sha256 ${sha256(made.bytes)}`);
}

/** A time in seconds (reproducible-builds.org/specs/source-date-epoch). */
function epoch(text: string): number {
  if (/^\d{1,11}$/.test(text)) return Number(text);
  throw new UsageError('OPTION_INVALID', `SOURCE_DATE_EPOCH is "${text}"`, { expected: 'seconds since 1970' });
}

/** A place to publish to, and the same to be read. */
export async function targetAt(where: string) {
  if (where.startsWith('oci://')) {
    const { ociTarget } = await import('../publish/oci-target.ts');
    return ociTarget(where);
  }
  if (/^https?:/.test(where))
    throw new UsageError('OPTION_INVALID', `${where} cannot be published to`, {
      expected: 'a folder, or oci://registry/repository',
      hint: 'publish to a folder, and copy that to the web server: everything first, index.json last',
    });
  const folder = resolve(where);
  return { target: new FolderTarget(folder), place: await placeAt(folder, true) };
}

/** What the options ask for. @throws UsageError OPTION_INVALID, KEY_INVALID */
export async function wishesOf(options: Partial<PublishOptions> & Pick<PublishOptions, 'expires'>): Promise<Wishes> {
  const days = positiveInteger(options.expires, '--expires');
  const { name, url, nextKey, why } = options;
  if (name !== undefined && !/^\w[\w.+-]*$/.test(name))
    throw new UsageError('OPTION_INVALID', `--name is "${name}"`, { expected: 'one word: letters, digits, dots, hyphens' });
  const address = url === undefined ? undefined : URL.parse(url.trim());
  if (url !== undefined && !(address && /^https?:$/.test(address.protocol)))
    throw new UsageError('OPTION_INVALID', `--url is "${url}"`, { expected: 'an http or https URL' });
  return {
    publication: name,
    url: address?.href,
    days,
    nextKey: nextKey === undefined ? undefined : await loadPublicKey(nextKey),
    revoke: (options.revoke ?? []).map((text) => {
      const key = text.toUpperCase();
      if (!/^[0-9A-F]{16}$/.test(key))
        throw new UsageError('OPTION_INVALID', `--revoke is "${text}"`, {
          expected: 'the id of a key: 16 hex digits, as pvgrub key show prints it',
        });
      return { key, why: why ?? 'no longer to be trusted' };
    }),
    withdraw: options.withdraw ?? [],
    prune: options.prune ?? false,
    renew: options.renew ?? false,
  };
}
