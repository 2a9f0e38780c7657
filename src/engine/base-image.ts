import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { productRoot } from '../catalog/load.ts';
import { EngineError } from '../errors.ts';
import { aptProxy, aptTrustsDebian } from '../sources/origins/apt.ts';
import { debianKeyring } from '../sources/origins/debian.ts';
import { debianMirrors, PRIMARY_MIRROR } from '../sources/origins/debian-mirrors.ts';
import { proxyEnvironment } from '../sources/origins/proxy.ts';
import { run } from '../util/process.ts';
import { type Engine, engineError, statusOf } from './engine.ts';
import { followProgress } from './progress-stream.ts';

/** The base image that was taken, and how it was got. */
export interface Base {
  /** Reference on the engine. */
  reference: string;
  /** For the manifest: "pulled …", "made with mmdebstrap …" or "given by the user …". */
  how: string;
}

/** What choosing a base image needs. */
export interface BaseOptions {
  /** "auto", "mmdebstrap", or an image reference. */
  wanted: string;
  suite: string;
  debianMirror: string | undefined;
  offline: boolean;
  signal?: AbortSignal | undefined;
  say: (text: string) => void;
}

/** Label of a base image that was made here. */
export const LABEL = 'pvgrub-forge.base';

/** The official image of a suite by its pinned digest. */
async function officialImage(suite: string): Promise<string> {
  const catalog = JSON.parse(await readFile(join(productRoot, 'catalog/debian.json'), 'utf8')) as {
    images: Record<string, { repository: string; digest: string }>;
  };
  const image = catalog.images[suite];
  if (!image) throw new EngineError('BASE_UNAVAILABLE', `the catalog has no official image of ${suite}`);
  return `${image.repository}@${image.digest}`;
}

/** Os and architecture are checked: a tag may be of another platform and is then used silently. */
async function inspectImage(
  engine: Engine,
  reference: string,
): Promise<{ id: string; labels: Record<string, string>; digests: string[] } | undefined> {
  try {
    const image = await engine.docker.getImage(reference).inspect();
    if (image.Os !== 'linux' || image.Architecture !== 'amd64') {
      throw new EngineError('BASE_UNAVAILABLE', `the image ${reference} is ${image.Os}/${image.Architecture}`, { expected: 'linux/amd64' });
    }
    return { id: image.Id, labels: image.Config?.Labels ?? {}, digests: image.RepoDigests ?? [] };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw engineError(error, 'looking at an image');
  }
}

/**
 * Make sure that there is a base image, in this order: the reference that the user named; one that is there from an
 * earlier run; the official image where a registry answers; one made with mmdebstrap from the mirrors that this
 * machine uses.
 * @throws EngineError BASE_UNAVAILABLE with what was tried
 */
export async function ensureBase(engine: Engine, options: BaseOptions): Promise<Base> {
  const { wanted, suite, say } = options;
  if (wanted !== 'auto' && wanted !== 'mmdebstrap') {
    let there = await inspectImage(engine, wanted);
    if (!there && !options.offline && (await pull(engine, wanted, options)) === undefined) there = await inspectImage(engine, wanted);
    if (!there)
      throw new EngineError('BASE_UNAVAILABLE', `the base image ${wanted} is not on the engine and cannot be pulled`, {
        hint: 'docker load it, or use --base auto',
      });
    // Its name may be of an inner place; what it is, is its digest.
    return { reference: wanted, how: `given by the user: ${there.digests[0]?.replace(/^.*@/, '') ?? there.id}` };
  }
  const made = `pvgrub-forge-base:${suite}`;
  const earlier = await inspectImage(engine, made);
  if (earlier) return { reference: made, how: earlier.labels[LABEL] ?? 'made with mmdebstrap' };
  const tried: string[] = [];
  if (wanted === 'auto') {
    const name = await officialImage(suite);
    let official = await inspectImage(engine, name);
    if (!official) {
      const failure = options.offline ? 'not pulled, because of --offline' : await pull(engine, name, options);
      if (failure === undefined) official = await inspectImage(engine, name);
      else tried.push(`${name}: ${failure}`);
    }
    if (official) return { reference: name, how: `pulled: ${name}` };
  }
  if (options.offline) tried.push('mmdebstrap: not run, because of --offline');
  else {
    say(`making a Debian ${suite} base image with mmdebstrap (no registry gave one)`);
    const failure = await makeBase(engine, made, options);
    if (failure === undefined) return { reference: made, how: `made with mmdebstrap ${suite}` };
    tried.push(`mmdebstrap: ${failure}`);
  }
  throw new EngineError('BASE_UNAVAILABLE', `no base image for the build can be had; tried:\n  ${tried.join('\n  ')}`, {
    hint: 'apt-get install mmdebstrap, give access to a registry, or name an image that the engine has with --base',
  });
}

/** Pull an image. Gives why not, or undefined. */
async function pull(engine: Engine, reference: string, { signal, say }: BaseOptions): Promise<string | undefined> {
  say(`pulling ${reference}`);
  try {
    const stream = (await engine.docker.pull(reference, {
      platform: 'linux/amd64',
      ...(signal ? { abortSignal: signal } : {}),
    })) as unknown as Readable;
    await followProgress(stream, `pulling ${reference}`);
    return undefined;
  } catch (error) {
    signal?.throwIfAborted();
    return (error as Error).message.split('\n')[0];
  }
}

/**
 * The deb lines for a suite from the machine's own mirrors: the archive and, where there is one, security. Where apt does not take
 * Debian's keys by itself, they name Debian's keyring; each base image has it at the same place.
 */
async function debLines(
  suite: string,
  configured: string | undefined,
): Promise<{ archive: string; lines: string[]; lacksKeyring: boolean }> {
  const trusts = await aptTrustsDebian();
  const keyring = trusts ? undefined : await debianKeyring();
  const deb = keyring === undefined ? 'deb' : `deb [signed-by=${keyring}]`;
  const mirrors = await debianMirrors(configured);
  const isSecurity = (uri: string) => /security/.test(uri);
  const archive = mirrors.find((uri) => !isSecurity(uri)) ?? PRIMARY_MIRROR;
  const security = mirrors.find(isSecurity);
  const lines = [
    `${deb} ${archive} ${suite} main`,
    `${deb} ${archive} ${suite}-updates main`,
    ...(security === undefined ? [] : [`${deb} ${security} ${suite}-security main`]),
  ];
  return { archive, lines, lacksKeyring: !trusts && keyring === undefined };
}

/** Make a minimal base with mmdebstrap and import it. Gives why not, or undefined. */
async function makeBase(engine: Engine, tag: string, { suite, debianMirror, signal }: BaseOptions): Promise<string | undefined> {
  if ((await run('mmdebstrap', ['--version']).catch(() => undefined)) === undefined) return 'not installed';
  const { archive, lines, lacksKeyring } = await debLines(suite, debianMirror);
  // mmdebstrap takes the environment's proxy, and not the one of apt's configuration. (Its --aptopt would stay in the image.)
  const proxy = await (await aptProxy())(archive);
  const env =
    proxy === undefined ? process.env : { ...process.env, ...proxyEnvironment(archive, proxy === 'DIRECT' ? {} : { all_proxy: proxy }) };
  const child = spawn('mmdebstrap', ['--quiet', '--variant=minbase', '--architectures=amd64', '--format=tar', suite, '-', ...lines], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
    ...(signal ? { signal } : {}),
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  const said = () => {
    const last = complaint.trim().split('\n').at(-1);
    return last && lacksKeyring ? `${last} (Debian's keyring is not on this machine: apt-get install debian-archive-keyring)` : last;
  };
  const closed = once(child, 'close') as Promise<[number | null]>;
  // An abort rejects it while the import is still awaited.
  closed.catch(() => {});
  try {
    // The label tells later runs how this image was made.
    const changes = [`LABEL ${LABEL}="made with mmdebstrap ${suite}"`];
    // Without a name at first: an engine imports nothing at all, or half a tar, with no complaint, and what bears the
    // name is taken as it is by every later run.
    const answer = (await engine.docker.importImage(child.stdout as unknown as string, { changes })) as unknown as Readable;
    const imported = (await followProgress(answer, 'importing the base image')).findLast((message) => message.status)?.status;
    if (imported === undefined) throw new Error('the engine does not say what it imported');
    const [code] = await closed.catch(() => [null]);
    const image = engine.docker.getImage(imported);
    if (code === 0) {
      const [repo = tag, name = 'latest'] = tag.split(':');
      await image.tag({ repo, tag: name });
      return undefined;
    }
    await image.remove({ force: true });
    signal?.throwIfAborted();
    return said() || `it ended with ${code}`;
  } catch (error) {
    child.kill();
    await closed.catch(() => {});
    signal?.throwIfAborted();
    return said() || (engineError(error, 'importing the base image') as Error).message;
  }
}
