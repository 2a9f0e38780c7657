import { Agent, DecoratorHandler, type Dispatcher, EnvHttpProxyAgent, interceptors, ProxyAgent } from 'undici';
import { SourceError } from '../../errors.ts';
import { certificateProblem, trusted } from './certificates.ts';
import { inExemptNetwork, isLoopback, namedProxies, noProxy, proxyFor, proxyUrl, shownProxy } from './proxy.ts';

/** Everything that decides how requests are sent. */
const VARIABLES = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy', 'SSL_CERT_FILE'].flatMap((name) => [name, name.toUpperCase()]);

/** Where the request of an error went: a redirect may have led it to another server than the first. */
const places = new WeakMap<Error, string>();

/** Notes where a request went that fails. */
class Noting extends DecoratorHandler implements Dispatcher.DispatchHandler {
  readonly #origin: string;
  readonly #next: Dispatcher.DispatchHandler;
  constructor(next: Dispatcher.DispatchHandler, origin: string) {
    super(next);
    this.#next = next;
    this.#origin = origin;
  }
  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    places.set(error, this.#origin);
    this.#next.onResponseError?.(controller, error);
  }
}

const made = new Map<string, Dispatcher>();

/** The dispatcher for a key, made once. */
function once(key: string, make: () => Dispatcher): Dispatcher {
  const dispatcher = made.get(key) ?? make();
  made.set(key, dispatcher);
  return dispatcher;
}

/** Options of all connections. Certificates are read only where one may be wanted: it takes time. */
function options(secure: boolean) {
  const tls = secure ? { secureContext: trusted() } : {};
  return { connect: { timeout: 20_000, ...tls }, requestTls: tls, proxyTls: tls, headersTimeout: 60_000, bodyTimeout: 60_000 };
}

/** Sends to this machine and to networks that no_proxy names directly, and lets undici's own reading of the environment do the rest. */
function byEnvironment(secure: boolean): Dispatcher {
  const { http, https } = namedProxies(process.env);
  const direct = new Agent(options(secure));
  for (const proxy of [http, https]) demandUrl(proxy?.url, proxy?.shown, proxy?.variable);
  // Empty, and not undefined: undici reads its own variables else.
  const env = new EnvHttpProxyAgent({
    ...options(secure),
    httpProxy: http?.url ?? '',
    httpsProxy: https?.url ?? '',
    noProxy: noProxy(process.env),
  });
  return direct.compose((toServer) => (request, handler) => {
    const origin = String(request.origin);
    const proxied = (origin.startsWith('https:') ? https : http) && !isLoopback(origin) && !inExemptNetwork(origin, process.env);
    return proxied ? env.dispatch(request, handler) : toServer(request, handler);
  });
}

/** @throws SourceError DOWNLOAD_FAILED for a proxy that cannot be used */
function demandUrl(url: string | undefined, shown = '', where = ''): void {
  if (url === undefined || (URL.canParse(url) && /^(https?|socks5?):$/.test(new URL(url).protocol))) return;
  throw new SourceError('DOWNLOAD_FAILED', `${where} names the proxy ${shown}, which cannot be used`, {
    expected: 'http://HOST:PORT or https://HOST:PORT',
    hint: `correct ${where}, or name hosts that need no proxy in no_proxy`,
  });
}

/**
 * The agent for requests that begin at a URL. Redirects are followed, from https to https alone; each place is asked directly or
 * through a proxy as the environment says for it.
 *
 * @param proxy use this proxy, or with `DIRECT` none, whatever the environment says; loopback is asked directly all the same
 * @throws SourceError DOWNLOAD_FAILED for a proxy or a SSL_CERT_FILE that cannot be used
 */
export function agent(url: string, proxy?: string): Dispatcher {
  const secure =
    /^https:/i.test(url) ||
    /^https:/i.test(proxy ?? '') ||
    Object.values(namedProxies(process.env)).some((one) => one?.url.startsWith('https:'));
  const environment = VARIABLES.map((name) => process.env[name] ?? '').join('\n');
  const base = (tls: boolean) =>
    once(JSON.stringify([tls, proxy, environment]), () => {
      if (proxy === undefined) return byEnvironment(tls);
      if (proxy === 'DIRECT') return new Agent(options(tls));
      demandUrl(proxyUrl(proxy), shownProxy(proxy), 'the configuration of apt');
      const through = new ProxyAgent({ ...options(tls), uri: proxyUrl(proxy) });
      return new Agent(options(tls)).compose(
        (direct) => (request, handler) =>
          isLoopback(String(request.origin)) ? direct(request, handler) : through.dispatch(request, handler),
      );
    });
  const eachHop: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (request, handler) => {
    const origin = String(request.origin);
    if (/^https:/i.test(url) && origin.startsWith('http:')) throw new Error('the server leads from https to a place without it');
    const noting = new Noting(handler, origin);
    // A redirect from http to https: only now certificates are wanted.
    return origin.startsWith('https:') && !secure ? base(true).dispatch(request, noting) : dispatch(request, noting);
  };
  return base(secure).compose(eachHop, interceptors.redirect({ maxRedirections: 5 }));
}

/**
 * What an error of a request says to its reader: the reason in plain words, the proxy that was asked, and what to try.
 * @param url where the request began
 * @param proxy as given to {@link agent}
 */
export function requestProblem(error: unknown, url: string, proxy?: string): { reason: string; hint?: string } {
  const certificate = certificateProblem(error);
  const place = (error instanceof Error ? places.get(error) : undefined) ?? url;
  const { code, message, hint } = error as { code?: string; message?: string; hint?: string };
  const words =
    { ENOTFOUND: 'no such host', EAI_AGAIN: 'no such host', ECONNREFUSED: 'connection refused' }[code ?? ''] ??
    (message || code || 'unknown failure');
  const reason = certificate?.reason ?? words;
  const asked =
    proxy === undefined ? proxyFor(place) : proxy === 'DIRECT' ? undefined : { shown: shownProxy(proxy), variable: "apt's configuration" };
  // That a file is not there is the server's answer, not the proxy's.
  const byServer = /^HTTP 4(?!07)\d\d$/.test(message ?? '');
  if (!asked || byServer || isLoopback(place))
    return { reason, ...((certificate ?? hint) ? { hint: certificate?.hint ?? (hint as string) } : {}) };
  return {
    reason: `${reason} (through the proxy ${asked.shown}, named by ${asked.variable})`,
    hint: certificate?.hint ?? `check the proxy and its password in ${asked.variable}, or name the host in no_proxy`,
  };
}
