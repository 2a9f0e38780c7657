import type { Readable } from 'node:stream';
import type { Settings } from '../config/settings.ts';
import { EngineError } from '../errors.ts';
import { aptProxy } from '../sources/origins/apt.ts';
import { debianMirrors } from '../sources/origins/debian-mirrors.ts';
import { sha256 } from '../util/hash.ts';
import { type PutFile, tarOf } from './archive.ts';
import { type Base, ensureBase } from './base-image.ts';
import { type Engine, engineError, statusOf } from './engine.ts';
import { followProgress } from './progress-stream.ts';

/** An image of ours: what it is made of. */
export interface ImageRecipe {
  /** What it is called; its tag is pvgrub-forge-<first word>. */
  name: 'build image' | 'boot image' | 'reproduction image';
  dockerfile: string;
  /** Whatever else its content depends on, as text; part of its tag. */
  identity: string;
  /** An image of the engine that it is built on; the base that settings ask for if not said. */
  base?: Base;
  /** The rest of the context; asked for only when the image has to be made. */
  files: () => Promise<PutFile[]>;
  /** Where --offline forbids making it: another way to have it. */
  offline?: () => Promise<ReadyImage | undefined>;
}

/** What making sure of an image needs. */
export interface ImageOptions {
  settings: Pick<Settings, 'image' | 'debianMirror' | 'offline' | 'store'>;
  labels: Record<string, string>;
  signal?: AbortSignal | undefined;
  say: (text: string) => void;
  log?: (line: string) => void;
}

/** An image of ours that is on the engine. */
export interface ReadyImage {
  /** The image's id on this engine. */
  id: string;
  /** How its base image was got. */
  base: string;
}

/** Labels of our images: SHA-256 of the Dockerfile, and how the base was got. */
export const LABEL = 'pvgrub-forge.dockerfile';
export const BASE_LABEL = 'pvgrub-forge.built-on';

/** The base and suite that settings ask for, as one text. */
export function wantedBase({ image }: Pick<Settings, 'image'>): string {
  return `${image.base}/${image.suite}`;
}

/**
 * An image of ours: the one that is there for this recipe and choice of base, else built through the API.
 * @throws EngineError IMAGE_BUILD_FAILED, BASE_UNAVAILABLE, ENGINE_LOST
 */
export async function ensureImage(engine: Engine, recipe: ImageRecipe, options: ImageOptions): Promise<ReadyImage> {
  const key = [recipe.dockerfile, wantedBase(options.settings), ...(recipe.identity === '' ? [] : [recipe.identity])].join('\n');
  const tag = `pvgrub-forge-${recipe.name.split(' ')[0]}:${sha256(key).slice(0, 16)}`;
  const there = await existing(engine, tag);
  if (there) return there;
  if (options.settings.offline) {
    const made = await recipe.offline?.();
    if (made) return made;
    throw new EngineError('BASE_UNAVAILABLE', `the engine has no ${recipe.name} (${tag}), and --offline forbids making one`, {
      hint: 'make it once with a network, or carry it over: pvgrub sources export --for, or docker save and docker load (docs/offline.md)',
    });
  }
  return make(engine, recipe, tag, options);
}

async function existing(engine: Engine, tag: string): Promise<ReadyImage | undefined> {
  try {
    const image = await engine.docker.getImage(tag).inspect();
    return { id: image.Id, base: image.Config?.Labels?.[BASE_LABEL] ?? 'unknown base' };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw engineError(error, 'looking for an image');
  }
}

/**
 * Proxy settings for the build's own downloads, which apt makes; the only outside values that reach it. The proxy of this
 * machine's apt comes before those of the environment.
 */
export async function buildProxies(
  debianMirror: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Record<string, string>> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  const given = Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
  const [mirror = ''] = await debianMirrors(debianMirror);
  const own = await (await aptProxy())(mirror);
  return own === undefined || own === 'DIRECT' ? given : { ...given, http_proxy: own, https_proxy: own };
}

async function make(engine: Engine, recipe: ImageRecipe, tag: string, options: ImageOptions): Promise<ReadyImage> {
  const { settings, signal, say, log } = options;
  const { name, dockerfile } = recipe;
  const files = await recipe.files();
  const base =
    recipe.base ??
    (await ensureBase(engine, {
      // Only the build image is in the store: others are made as usual.
      wanted: settings.image.base === 'store' ? 'auto' : settings.image.base,
      suite: settings.image.suite,
      debianMirror: settings.debianMirror,
      offline: settings.offline,
      signal,
      say,
    }));
  say(`building the ${name}`);
  const proxies = await buildProxies(settings.debianMirror);
  const context = tarOf([{ name: 'Dockerfile', content: Buffer.from(dockerfile) }, ...files]);
  try {
    const stream = (await engine.docker.buildImage(context as unknown as NodeJS.ReadableStream, {
      t: tag,
      // The classic builder: our private engine has no bridge, so its commands use the host's network.
      networkmode: 'host',
      buildargs: { BASE: base.reference, ...proxies },
      labels: { [LABEL]: sha256(dockerfile), [BASE_LABEL]: base.how },
      rm: true,
      forcerm: true,
      ...(signal ? { abortSignal: signal } : {}),
    })) as unknown as Readable;
    await followProgress(stream, `building the ${name}`, (message) => {
      for (const line of (message.stream ?? '').split('\n')) if (line.trim() !== '') log?.(line);
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw engineError(error, `building the ${name}`);
  } finally {
    context.destroy();
  }
  const built = await existing(engine, tag);
  if (!built) throw new EngineError('IMAGE_BUILD_FAILED', `the engine built the ${name} without an error, but does not have it`);
  return { id: built.id, base: base.how };
}
