import { BlockList, isIP } from 'node:net';

/** Which proxy the environment names for a URL: http_proxy, https_proxy, all_proxy and no_proxy, as curl(1) has them. Pure. */

type Environment = Readonly<Record<string, string | undefined>>;

/** A proxy, and where it is named. */
export interface NamedProxy {
  /** With user name and password, as a URL. */
  url: string;
  /** The same without them, to be shown. */
  shown: string;
  variable: string;
}

/** Lower case wins over upper case. One that is empty says that there is none. */
function named(env: Environment, names: readonly string[]): { variable: string; value: string } | undefined {
  for (const name of names.flatMap((one) => [one, one.toUpperCase()])) {
    const value = env[name];
    if (value !== undefined) return { variable: name, value: value.trim() };
  }
  return undefined;
}

/** User names and passwords are given with and without percent escapes; each character that means something else is escaped. */
function escaped(text: string): string {
  try {
    return encodeURIComponent(decodeURIComponent(text.replace(/%(?![0-9a-f]{2})/gi, '%25')));
  } catch {
    return encodeURIComponent(text);
  }
}

/** A proxy as people write it, as a URL: without a scheme it is http, and its password may have any character. */
export function proxyUrl(value: string): string {
  const [, given = 'http://', rest = ''] = /^([a-z][a-z0-9+.-]*:\/\/)?(.*)$/is.exec(value) ?? [];
  const scheme = given.toLowerCase();
  const at = rest.lastIndexOf('@');
  if (at < 0) return scheme + rest;
  const [user = '', ...password] = rest.slice(0, at).split(':');
  return `${scheme}${escaped(user)}${password.length > 0 ? `:${escaped(password.join(':'))}` : ''}@${rest.slice(at + 1)}`;
}

/** A proxy without its user name and password. */
export function shownProxy(value: string): string {
  return proxyUrl(value).replace(/^([a-z][a-z0-9+.-]*:\/\/).*@/is, '$1');
}

/** The proxies for http and for https URLs, before no_proxy is looked at. */
export function namedProxies(env: Environment): { http: NamedProxy | undefined; https: NamedProxy | undefined } {
  const proxy = (names: string[]): NamedProxy | undefined => {
    const found = named(env, names);
    if (!found || found.value === '') return undefined;
    return { url: proxyUrl(found.value), shown: shownProxy(found.value), variable: found.variable };
  };
  return { http: proxy(['http_proxy', 'all_proxy']), https: proxy(['https_proxy', 'all_proxy', 'http_proxy']) };
}

/** The text of no_proxy; empty where it is not set. */
export function noProxy(env: Environment): string {
  return named(env, ['no_proxy'])?.value ?? '';
}

const hostOf = (url: string) =>
  new URL(url).hostname
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether an address is in a list. An IPv4 address may be written as one of IPv6 (::ffff:10.0.0.1). */
const contains = (list: BlockList, host: string) => isIP(host) !== 0 && list.check(host, isIP(host) === 4 ? 'ipv4' : 'ipv6');

/** Whether a URL leads to this machine itself. Nobody else can be asked for that. */
export function isLoopback(url: string): boolean {
  const host = hostOf(url);
  return host === 'localhost' || host.endsWith('.localhost') || contains(LOOPBACK, host);
}

/** Whether no_proxy names an address, or a network that it is in, such as 10.0.0.0/8. An address may be written in any form. */
export function inExemptNetwork(url: string, env: Environment): boolean {
  const host = hostOf(url);
  if (isIP(host) === 0) return false;
  const list = new BlockList();
  for (const entry of noProxy(env).split(/[\s,]+/)) {
    const [, address = '', bits] = /^\[?([0-9a-f.:]+)\]?(?:\/(\d{1,3}))?$/i.exec(entry) ?? [];
    const longest = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
    const prefix = bits === undefined ? longest : Number(bits);
    if (longest > 0 && prefix <= longest) list.addSubnet(address, prefix, longest === 32 ? 'ipv4' : 'ipv6');
  }
  return contains(list, host);
}

/** Whether no_proxy names a host, as a name, a domain or a host with a port. undici decides the same for its own requests. */
function isExempt(url: string, env: Environment): boolean {
  const { port, protocol } = new URL(url);
  const host = hostOf(url);
  return noProxy(env)
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      const [, name = entry, wanted] = /^(\[.+\]|[^:]+):(\d+)$/.exec(entry) ?? [];
      if (wanted !== undefined && wanted !== (port || (protocol === 'https:' ? '443' : '80'))) return false;
      const plain = name
        .replace(/^\[(.*)\]$/, '$1')
        .replace(/^\*?\./, '')
        .replace(/\.$/, '');
      return name === '*' || (host === plain && !name.startsWith('*.')) || host.endsWith(`.${plain}`);
    });
}

/**
 * The proxy that a request for a URL goes through; undefined where it goes there itself.
 * @param url http or https
 */
export function proxyFor(url: string, env: Environment = process.env): NamedProxy | undefined {
  if (!URL.canParse(url)) return undefined;
  const proxy = namedProxies(env)[new URL(url).protocol === 'https:' ? 'https' : 'http'];
  if (!proxy || isLoopback(url) || inExemptNetwork(url, env) || isExempt(url, env)) return undefined;
  return proxy;
}

/** The variables that make a program such as git take the same proxy for a URL as we do. */
export function proxyEnvironment(url: string, env: Environment = process.env): NodeJS.ProcessEnv {
  const all = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [name, name.toUpperCase()]);
  const none = Object.fromEntries(all.map((name) => [name, undefined]));
  if (!/^https?:/i.test(url)) return none;
  const proxy = proxyFor(url, env);
  return proxy ? { ...none, http_proxy: proxy.url, https_proxy: proxy.url } : { ...none, no_proxy: '*' };
}
