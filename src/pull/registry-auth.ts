import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { z } from 'zod';
import { SourceError, UsageError } from '../errors.ts';
import { agent, requestProblem } from '../sources/origins/agent.ts';
import { take } from '../sources/origins/download.ts';
import { ifThere } from '../util/files.ts';

/** Who we are to a registry: what `docker login`, `podman login` and `skopeo login` have left. */

/** A token is some kilobytes. */
const MAX_TOKEN = 64 * 1024;
const tokens = z.object({ token: z.string().min(1).optional(), access_token: z.string().min(1).optional() });
/** What those tools write, as far as it is of use here. */
const logins = z.object({ auths: z.record(z.string(), z.object({ auth: z.string().optional() })).optional() });

/** Base64 of user:password for a registry, from the files of those tools; undefined where they have none. */
export async function credentials(host: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const home = env['HOME'] ?? '/root';
  const files = [
    env['REGISTRY_AUTH_FILE'],
    join(env['DOCKER_CONFIG'] ?? join(home, '.docker'), 'config.json'),
    env['XDG_RUNTIME_DIR'] && join(env['XDG_RUNTIME_DIR'], 'containers/auth.json'),
  ];
  for (const file of files) {
    const text = file && (await ifThere(readFile(file, 'utf8')));
    if (!text) continue;
    try {
      const { auths } = logins.parse(JSON.parse(text));
      const auth = auths?.[host]?.auth ?? auths?.[`https://${host}`]?.auth;
      if (auth) return auth;
    } catch (error) {
      throw new UsageError('FILE_UNREADABLE', `${file} is not what docker login writes`, { cause: error });
    }
  }
  return undefined;
}

/**
 * The Authorization header that answers a registry's challenge (RFC 7235; the token way: distribution.github.io/distribution/spec/auth/token).
 * @param challenge its WWW-Authenticate header
 * @param auth base64 of user:password
 * @throws SourceError DOWNLOAD_FAILED where it lets us in by no way that we know
 */
export async function authorize(challenge: string, auth: string | undefined, where: string, signal?: AbortSignal): Promise<string> {
  const [, scheme = '', rest = ''] = /^(\w+)\s*(.*)$/s.exec(challenge) ?? [];
  const refused = (why: string) =>
    new SourceError('DOWNLOAD_FAILED', `${where} does not let us in: ${why}`, {
      hint: 'docker login, podman login or skopeo login to it first (credential helpers are not asked)',
    });
  if (scheme.toLowerCase() === 'basic') {
    if (auth === undefined) throw refused('it wants a user name and password');
    return `Basic ${auth}`;
  }
  if (scheme.toLowerCase() !== 'bearer') throw refused(`it wants ${scheme || 'something unknown'}`);
  const fields = Object.fromEntries([...rest.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
  if (!fields['realm'] || !URL.canParse(fields['realm'])) throw refused('it names no place that gives tokens');
  const url = new URL(fields['realm']);
  // A password is sent to no place that does not hide it, but on this machine.
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol !== 'https:' && !local) throw refused('its tokens come from a place without https');
  for (const name of ['service', 'scope']) if (fields[name]) url.searchParams.set(name, fields[name]);
  let text: string;
  try {
    const { statusCode, body } = await request(url, {
      dispatcher: agent(url.href),
      headers: auth === undefined ? {} : { authorization: `Basic ${auth}` },
      ...(signal ? { signal } : {}),
    });
    text = (await take(body, MAX_TOKEN, url.host)).toString('utf8');
    if (statusCode !== 200) throw refused(`HTTP ${statusCode} from ${url.host}`);
  } catch (error) {
    if (error instanceof SourceError) throw error;
    signal?.throwIfAborted();
    throw refused(`${url.host}: ${requestProblem(error, url.href).reason}`);
  }
  const token = answer(text);
  if (token === undefined) throw refused(`no token from ${url.host}`);
  return `Bearer ${token}`;
}

/** The token in an answer. */
function answer(text: string): string | undefined {
  try {
    const { token, access_token } = tokens.parse(JSON.parse(text));
    return token ?? access_token;
  } catch {
    return undefined;
  }
}
