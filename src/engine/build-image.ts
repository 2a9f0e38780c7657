import type { Readable } from 'node:stream';
import type { Settings } from '../config/settings.ts';
import { EngineError } from '../errors.ts';
import { sha256 } from '../util/hash.ts';
import { tarOf } from './archive.ts';
import { ensureBase } from './base-image.ts';
import { type Engine, engineError, statusOf } from './engine.ts';
import { buildDockerfile, type Manifest, manifestDigest, rememberManifest } from './manifest.ts';
import { followProgress } from './progress-stream.ts';
import { readPackages } from './read-packages.ts';

/** A build image that is on the engine. */
export interface BuildImage {
  /** The image's id on this engine. */
  id: string;
  manifest: Manifest;
  digest: string;
}

const LABEL = 'pvgrub-forge.dockerfile';
const BASE_LABEL = 'pvgrub-forge.built-on';

/** What making sure of the build image needs. */
export interface BuildImageOptions {
  settings: Pick<Settings, 'image' | 'debianMirror' | 'offline'>;
  labels: Record<string, string>;
  signal?: AbortSignal | undefined;
  say: (text: string) => void;
  log?: (line: string) => void;
}

function tagOf(dockerfile: string, base: string): string {
  return `pvgrub-forge-build:${sha256(`${dockerfile}\n${base}`).slice(0, 16)}`;
}

/**
 * The build image: the one that is there for this Dockerfile and choice of base, else built through the API.
 * Its packages are read out of it and remembered, so that `matrix` knows the manifest without an engine.
 * @throws EngineError IMAGE_BUILD_FAILED, BASE_UNAVAILABLE, ENGINE_LOST
 */
export async function ensureBuildImage(engine: Engine, options: BuildImageOptions): Promise<BuildImage> {
  const { settings, say } = options;
  const dockerfile = await buildDockerfile();
  const wanted = `${settings.image.base}/${settings.image.suite}`;
  const tag = tagOf(dockerfile, wanted);
  const there = await existing(engine, tag);
  if (!there && settings.offline) {
    throw new EngineError('BASE_UNAVAILABLE', `the engine has no build image (${tag}), and --offline forbids making one`, {
      hint: 'make it once with a network, or carry it over with docker save and docker load (docs/offline.md)',
    });
  }
  const image = there ?? (await build(engine, dockerfile, tag, options));
  const packages = await readPackages(engine, image.id, options.labels, options.signal);
  const manifest: Manifest = { dockerfile: sha256(dockerfile), packages, base: image.base };
  await rememberManifest(wanted, manifest);
  say(`build image ${image.id.replace(/^sha256:/, '').slice(0, 12)} with ${packages.length} packages (${image.base})`);
  return { id: image.id, manifest, digest: manifestDigest(manifest) };
}

async function existing(engine: Engine, tag: string): Promise<{ id: string; base: string } | undefined> {
  try {
    const image = await engine.docker.getImage(tag).inspect();
    return { id: image.Id, base: image.Config?.Labels?.[BASE_LABEL] ?? 'unknown base' };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw engineError(error, 'looking for the build image');
  }
}

/** Proxy settings for the build's own downloads; the only outside values that reach it. */
function proxies(env: NodeJS.ProcessEnv): Record<string, string> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}

async function build(engine: Engine, dockerfile: string, tag: string, options: BuildImageOptions): Promise<{ id: string; base: string }> {
  const { settings, signal, say, log } = options;
  const base = await ensureBase(engine, {
    wanted: settings.image.base,
    suite: settings.image.suite,
    debianMirror: settings.debianMirror,
    offline: settings.offline,
    signal,
    say,
  });
  say('building the build image');
  const context = tarOf([{ name: 'Dockerfile', content: Buffer.from(dockerfile) }]);
  try {
    const stream = (await engine.docker.buildImage(context as unknown as NodeJS.ReadableStream, {
      t: tag,
      // The classic builder: our private engine has no bridge, so its commands use the host's network.
      networkmode: 'host',
      buildargs: { BASE: base.reference, ...proxies(process.env) },
      labels: { [LABEL]: sha256(dockerfile), [BASE_LABEL]: base.how },
      rm: true,
      forcerm: true,
      ...(signal ? { abortSignal: signal } : {}),
    })) as unknown as Readable;
    await followProgress(stream, 'building the build image', (message) => {
      for (const line of (message.stream ?? '').split('\n')) if (line.trim() !== '') log?.(line);
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw engineError(error, 'building the build image');
  } finally {
    context.destroy();
  }
  const built = await existing(engine, tag);
  if (!built) throw new EngineError('IMAGE_BUILD_FAILED', 'the engine built the build image without an error, but does not have it');
  return { id: built.id, base: base.how };
}
