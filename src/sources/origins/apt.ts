import { run } from '../../util/process.ts';

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
 * The places of apt's sources, with or without fetched indices (sources.list(5); `apt-get indextargets`, apt-get(8)).
 * @returns none where there is no apt
 */
export async function aptPlaces(): Promise<AptPlace[]> {
  const format = ['--format', '$(ORIGIN)|$(REPO_URI)', 'Created-By: Packages'];
  // Only with --no-release-info are those listed whose indices were never fetched; only without it they have an origin.
  const [all, fetched] = await Promise.all([
    printed('apt-get', 'indextargets', '--no-release-info', ...format),
    printed('apt-get', 'indextargets', ...format),
  ]);
  const origins = new Map<string, string | undefined>();
  for (const line of [...fetched, ...all]) {
    const [, origin = '', uri = ''] = /^([^|]*)\|(\S+)$/.exec(line) ?? [];
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
 * How apt reaches mirrors: Acquire::http::Proxy, for one host Acquire::http::Proxy::HOST, and Acquire::http::Proxy-Auto-Detect; https
 * has settings of its own, and else those of http (apt.conf(5), apt-transport-http(1)).
 */
export async function aptProxy(): Promise<AptProxy> {
  const settings = parseAptConfig(await printed('apt-config', 'dump'));
  return async (url) => {
    const { hostname, protocol } = new URL(url);
    for (const scheme of protocol === 'https:' ? ['https', 'http'] : ['http']) {
      const set = settings.get(`acquire::${scheme}::proxy::${hostname}`) ?? settings.get(`acquire::${scheme}::proxy`);
      if (set !== undefined) return set === 'false' ? 'DIRECT' : set;
      const command = settings.get(`acquire::${scheme}::proxy-auto-detect`) ?? settings.get(`acquire::${scheme}::proxyautodetect`);
      if (command === undefined) continue;
      const answer = await run(command, [url], { limit: 10_000, signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => undefined);
      const found = answer?.code === 0 ? (answer.stdout.toString('utf8').trim().split('\n')[0] ?? '') : '';
      if (found !== '') return found;
    }
    return undefined;
  };
}
