import { readFile, stat } from 'node:fs/promises';
import { request } from 'undici';
import { agent } from './agent.ts';
import { type AptPlace, type AptProxy, aptPlaces, aptProxy } from './apt.ts';
import { take } from './download.ts';

/** Debian's primary mirror, asked last: signatures are checked wherever an index comes from. */
export const PRIMARY_MIRROR = 'http://ftp.debian.org/debian';

/** Bytes of a list of mirrors. */
const LONGEST_LIST = 2 ** 18;
/** Mirrors of one list that are asked. */
const MOST_OF_LIST = 5;

const bare = (url: string) => url.replace(/\/+$/, '');

/**
 * The mirrors of a list, those with the lowest priority number first: a URI on each line, and behind it words such as
 * priority:1 (apt-transport-mirror(1)). Lines with other URIs than http and https are left out. Pure.
 */
export function parseMirrorList(text: string): string[] {
  const entries = text.split('\n').flatMap((line, index) => {
    const [uri = '', ...words] = line.replace(/#.*$/, '').trim().split(/\s+/);
    if (!/^https?:\/\/[^/]/.test(uri) || !URL.canParse(uri)) return [];
    const priority = words.map((word) => /^priority:(\d{1,9})$/.exec(word)?.[1]).find((value) => value !== undefined);
    return [{ uri: bare(uri), priority: priority === undefined ? Number.POSITIVE_INFINITY : Number(priority), index }];
  });
  return entries.sort((a, b) => (a.priority === b.priority ? a.index - b.index : a.priority - b.priority)).map(({ uri }) => uri);
}

/** The list that a URI of apt names: mirror+file:/path, mirror+https://…, mirror+http://…, mirror://… (apt-transport-mirror(1)). */
async function listOf(uri: string, proxy: AptProxy): Promise<string[]> {
  const [, scheme = 'http', rest = ''] = /^mirror(?:\+(file|https?))?:(.*)$/.exec(bare(uri)) ?? [];
  try {
    if (scheme === 'file') {
      const path = rest.replace(/^\/\/(?=\/)/, '');
      return (await stat(path)).size > LONGEST_LIST ? [] : parseMirrorList(await readFile(path, 'utf8'));
    }
    const url = `${scheme}:${rest}`;
    const { statusCode, body } = await request(url, { dispatcher: agent(url, await proxy(url)), signal: AbortSignal.timeout(20_000) });
    const text = (await take(body, LONGEST_LIST, url)).toString('utf8');
    return statusCode === 200 ? parseMirrorList(text) : [];
  } catch {
    // One list that cannot be read keeps nobody from the other mirrors.
    return [];
  }
}

/** Whether an address names Ubuntu. Where apt has no index, only the address shows whose it is. */
const isUbuntu = (uri: string) => /ubuntu/i.test(uri) && !/debian[^/]*\/*$/i.test(uri);

/** A number for the order: 0 where an index shows that a place is Debian's, 1 where its address does, else 2. */
const doubt = ({ origin, uri }: AptPlace) => (origin !== undefined ? 0 : /debian/i.test(uri) ? 1 : 2);

/**
 * The base URLs of the Debian mirrors to ask, in order: the configuration's own, those of this machine's apt, and Debian's primary
 * mirror. Places of apt that are another distribution's are left out.
 *
 * @param configured the configuration's own mirror
 * @param primary the mirror that is asked last
 */
export async function debianMirrors(configured: string | undefined, primary: string = PRIMARY_MIRROR): Promise<string[]> {
  const [places, proxy] = await Promise.all([aptPlaces(), aptProxy()]);
  const debians = places
    .filter(({ origin, uri }) => (origin === undefined ? !isUbuntu(uri) : /^Debian\b/.test(origin)))
    .sort((a, b) => doubt(a) - doubt(b));
  const found = await Promise.all(
    debians.map(async ({ uri, origin }) => {
      if (/^https?:\/\//.test(uri)) return [bare(uri)];
      if (!/^mirror(\+(file|https?))?:/.test(uri)) return [];
      const list = await listOf(uri, proxy);
      return (origin === undefined ? list.filter((one) => !isUbuntu(one)) : list).slice(0, MOST_OF_LIST);
    }),
  );
  return [...new Set([...(configured === undefined ? [] : [bare(configured)]), ...found.flat(), bare(primary)])];
}
