import { readdir } from 'node:fs/promises';
import { run } from '../../util/process.ts';
import { proxyFor } from './proxy.ts';

/** What this machine's apt is set up with, as apt itself says. */

/** Bytes that apt may print. */
const LONGEST = 4 * 2 ** 20;
/** Milliseconds that a command of apt's configuration may take. */
const PATIENCE_MS = 10_000;

/** What a program of apt prints; nothing where it is not there. */
async function printed(command: string, ...args: string[]): Promise<string[]> {
  const answer = await run(command, args, { limit: LONGEST }).catch(() => undefined);
  return answer?.stdout.toString('utf8').split('\n') ?? [];
}

/** A place that apt takes packages from. */
export interface AptPlace {
  uri: string;
  /** Who publishes there, by the index that apt has fetched; undefined where it has none. */
  origin: string | undefined;
}

/**
 * The places of apt's sources that have a component main, with or without fetched indices (sources.list(5); `apt-get indextargets`,
 * apt-get(8)). Debian's places have one; those of single programs mostly have none.
 * @returns none where there is no apt
 */
export async function aptPlaces(): Promise<AptPlace[]> {
  const format = ['--format', '$(ORIGIN)|$(COMPONENT)|$(REPO_URI)'];
  // Only with --no-release-info are those listed whose indices were never fetched; only without it they have an origin.
  const [all, fetched] = await Promise.all([
    printed('apt-get', 'indextargets', '--no-release-info', ...format),
    printed('apt-get', 'indextargets', ...format),
  ]);
  const origins = new Map<string, string | undefined>();
  for (const line of [...fetched, ...all]) {
    const [, origin = '', uri = ''] = /^([^|]*)\|main\|(\S+)$/.exec(line) ?? [];
    // A field that has no value is printed as it was asked for.
    if (uri !== '' && !uri.startsWith('$(') && !origins.has(uri)) origins.set(uri, /^\$\(|^$/.test(origin) ? undefined : origin);
  }
  return [...origins].map(([uri, origin]) => ({ uri, origin }));
}

/** apt's settings, by name in lower case, as `apt-config dump` prints them (apt.conf(5)). Pure. */
export function parseAptConfig(lines: readonly string[]): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of lines) {
    const [, name, value] = /^([\w:.[\]-]+) "(.*)";$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined && value !== '') settings.set(name.toLowerCase(), value);
  }
  return settings;
}

/** The proxy that apt takes for a URL: a URL, or DIRECT; undefined where apt leaves that to the environment. */
export type AptProxy = (url: string) => Promise<string | undefined>;

/**
 * How apt reaches mirrors (apt.conf(5), apt-transport-http(1), apt-transport-https(1)). In this order: Acquire::http::Proxy::HOST for
 * one host; what the command of Acquire::http::Proxy-Auto-Detect prints; Acquire::http::Proxy. For https, the settings of https come
 * before those of http, and only its own command is run. As with apt, no_proxy names hosts that need no proxy of apt's either.
 */
export async function aptProxy(): Promise<AptProxy> {
  const settings = parseAptConfig(await printed('apt-config', 'dump'));
  const found = new Map<string, Promise<string | undefined>>();
  /** Ask the command once for each server. */
  const detect = (command: string, url: string) => {
    const { origin } = new URL(url);
    const answer = found.get(origin) ?? detected(command, url);
    found.set(origin, answer);
    return answer;
  };
  return async (url) => {
    if (!URL.canParse(url)) return undefined;
    const scheme = url.startsWith('https:') ? 'https' : 'http';
    const setting = (name: string) => settings.get(`acquire::${scheme}::${name}`) ?? settings.get(`acquire::http::${name}`);
    const host = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1');
    const command = settings.get(`acquire::${scheme}::proxy-auto-detect`) ?? settings.get(`acquire::${scheme}::proxyautodetect`);
    const proxy = setting(`proxy::${host}`) ?? (command === undefined ? undefined : await detect(command, url)) ?? setting('proxy');
    if (proxy === undefined) return undefined;
    const exceptions = { no_proxy: process.env['no_proxy'], NO_PROXY: process.env['NO_PROXY'] };
    if (/^(DIRECT|false)$/.test(proxy) || !proxyFor(url, { ...exceptions, all_proxy: proxy })) return 'DIRECT';
    // The proxy resolves names in any case.
    return proxy.replace(/^socks5h:/i, 'socks5:');
  };
}

/** What a command of Proxy-Auto-Detect prints for a URL; undefined where it prints nothing, fails or takes too long. */
async function detected(command: string, url: string): Promise<string | undefined> {
  const answer = await run(command, [url], { limit: 10_000, signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => undefined);
  const [line = ''] = answer?.code === 0 ? answer.stdout.toString('utf8').trim().split('\n') : [];
  return line.trim() || undefined;
}

/**
 * Whether apt takes Debian's keys for places that name no key (Dir::Etc::TrustedParts, apt.conf(5)). Debian 13 and other
 * distributions do not.
 */
export async function aptTrustsDebian(): Promise<boolean> {
  const [line = ''] = await printed('apt-config', 'shell', 'parts', 'Dir::Etc::TrustedParts/d');
  const folder = /^parts='(.+)'$/.exec(line)?.[1];
  const names = folder === undefined ? [] : await readdir(folder).catch(() => []);
  return names.some((name) => /debian/i.test(name));
}
