import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import Docker, { type DockerVersion } from 'dockerode';
import { EngineError, ForgeError } from '../errors.ts';

/** Where an engine listens, as the user writes it: unix:///path, tcp://host:port, http(s)://…, ssh://user@host. */
export type Endpoint = string;

/** An engine that answered, and what it said of itself. */
export interface Engine {
  docker: Docker;
  endpoint: Endpoint;
  /** How it was found, for people: "DOCKER_HOST", "our private engine", … */
  foundBy: string;
  name: 'docker' | 'podman';
  version: string;
  apiVersion: string;
  cores: number;
  memory: number;
  /** What tells the engine from others, the same at each of its addresses; empty where nothing does. */
  id?: string;
}

/**
 * What docker-modem would else take from DOCKER_HOST and its kin, even where an endpoint is given: a host there would
 * win over a socket's path, and a time limit on idle sockets cuts quiet builds.
 */
const NOTHING_FROM_ENVIRONMENT = { host: undefined, port: undefined, timeout: undefined };

/** How an engine is called where several are spoken of; without user names and passwords. */
export function engineName({ name, version, endpoint }: Pick<Engine, 'name' | 'version' | 'endpoint'>): string {
  return `${name} ${version} at ${endpoint.replace(/\/\/[^/@]*@/, '//')}`;
}

/**
 * Have nothing to do with an engine any more that does not answer: connections to it are cut, so that whoever waits for an
 * answer gets an error, and later requests fail at once.
 */
export function abandon({ docker, endpoint }: Engine): void {
  const modem = docker.modem as unknown as { agent?: Agent; dial: (options: unknown, done: (error: Error) => void) => void };
  modem.dial = (_options, done) => done(Object.assign(new Error(`${endpoint} was given up`), { code: 'ECONNRESET' }));
  modem.agent?.destroy();
}

/** As Node's own agent keeps connections; one of each client's own can be cut without the others. */
const KEEPING = { keepAlive: true, scheduling: 'lifo', timeout: 5000 } as const;

/** docker-modem takes an agent, which the types do not know. */
type Options = Docker.DockerOptions & { agent?: Agent | TlsAgent };

/** A dockerode client for an endpoint; nothing of the environment but TLS material is looked at. */
export function connect(endpoint: Endpoint): Docker {
  const url = new URL(endpoint);
  switch (url.protocol) {
    case 'unix:':
      return new Docker({
        ...NOTHING_FROM_ENVIRONMENT,
        protocol: 'http',
        socketPath: decodeURIComponent(url.pathname),
        agent: new Agent(KEEPING),
      } as Options);
    case 'ssh:':
      // docker-modem makes URLs for it that Node warns of on stderr; nobody here can do anything about that.
      (process as { noDeprecation?: boolean }).noDeprecation = true;
      return new Docker({
        ...NOTHING_FROM_ENVIRONMENT,
        protocol: 'ssh',
        host: url.hostname,
        port: Number(url.port || 22),
        ...(url.username ? { username: url.username } : {}),
        // A machine that has gone away says nothing: without these, waiting for it has no end.
        sshOptions: {
          keepaliveInterval: 10_000,
          keepaliveCountMax: 3,
          ...(process.env['SSH_AUTH_SOCK'] ? { agent: process.env['SSH_AUTH_SOCK'] } : {}),
        },
      });
    case 'tcp:':
    case 'http:':
    case 'https:': {
      const tls = url.protocol === 'https:' || (url.protocol === 'tcp:' && process.env['DOCKER_TLS_VERIFY']);
      return new Docker({
        ...NOTHING_FROM_ENVIRONMENT,
        protocol: tls ? 'https' : 'http',
        host: url.hostname,
        port: Number(url.port || (tls ? 2376 : 2375)),
        agent: tls ? new TlsAgent(KEEPING) : new Agent(KEEPING),
        ...(tls ? tlsMaterial() : {}),
      } as Options);
    }
    default:
      // localhost:2375 is a URL of the kind "localhost:" to the parser; docker-modem would take the system's socket.
      throw new Error(`not an engine's address: ${endpoint} (unix:///path, tcp://host:port, https://host:port, ssh://user@host)`);
  }
}

function tlsMaterial(): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  // docker-modem reads DOCKER_CERT_PATH itself only where it parses DOCKER_HOST; take it from there.
  const folder = process.env['DOCKER_CERT_PATH'];
  if (!folder) return {};
  const { readFileSync } = process.getBuiltinModule('node:fs');
  const read = (name: string) => readFileSync(`${folder}/${name}`);
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}

/**
 * Ask an endpoint who it is.
 * @param timeoutMs how long to wait
 * @throws what the connection throws; EngineError ENGINE_REFUSED where it is not a Linux amd64 engine
 */
export async function greet(endpoint: Endpoint, foundBy: string, timeoutMs = 5000): Promise<Engine> {
  const docker = connect(endpoint);
  const abortSignal = AbortSignal.timeout(timeoutMs);
  // dockerode takes options here, which its types do not know.
  const asking = docker as unknown as Record<'version', (options: object) => Promise<DockerVersion>> &
    Record<'info', (options: object) => Promise<{ NCPU: number; MemTotal: number; ID?: string; DockerRootDir?: string }>>;
  const late = new Promise<never>((_, reject) => {
    abortSignal.addEventListener('abort', () => reject(new Error(`no answer within ${timeoutMs / 1000} s`)), { once: true });
  });
  const [version, info] = await Promise.race([Promise.all([asking.version({ abortSignal }), asking.info({ abortSignal })]), late]);
  const components = (version as { Components?: { Name?: string }[] }).Components ?? [];
  const podman = components.some((component) => /podman/i.test(component.Name ?? ''));
  if (version.Os !== 'linux' || (version.Arch !== 'amd64' && version.Arch !== 'x86_64')) {
    throw new EngineError('ENGINE_REFUSED', `the engine at ${endpoint} is ${version.Os}/${version.Arch}`, {
      expected: 'linux/amd64',
      hint: 'give another with --engine',
    });
  }
  return {
    docker,
    endpoint,
    foundBy,
    name: podman ? 'podman' : 'docker',
    version: version.Version,
    apiVersion: version.ApiVersion,
    cores: info.NCPU,
    memory: info.MemTotal,
    // Daemons of one machine may share the ID (it is a key in /etc/docker), never the folder.
    id: info.ID ? `${info.ID} ${info.DockerRootDir ?? ''}` : '',
  };
}

/** The HTTP status of an engine's refusal; undefined for other errors. Decide on this, never on a text. */
export function statusOf(error: unknown): number | undefined {
  const status = (error as { statusCode?: unknown } | undefined)?.statusCode;
  return typeof status === 'number' ? status : undefined;
}

const CONNECTION = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'EACCES',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

/** Turn what dockerode throws into our errors; our own pass through. */
export function engineError(error: unknown, doing: string): unknown {
  if (error instanceof ForgeError) return error;
  const { code, message } = error as { code?: string; message?: string };
  if ((code !== undefined && CONNECTION.has(code)) || message === 'aborted' || message === 'socket hang up') {
    return new EngineError('ENGINE_LOST', `the engine went away while ${doing}`, {
      got: code ?? message ?? '',
      hint: 'see that it runs, then run again: what was finished is kept',
      cause: error,
    });
  }
  const status = statusOf(error);
  if (status !== undefined) {
    const reason = (error as { json?: { message?: string } }).json?.message ?? message ?? '';
    return new EngineError('ENGINE_REFUSED', `the engine refused while ${doing}: ${reason} (HTTP ${status})`, { cause: error });
  }
  return error;
}
