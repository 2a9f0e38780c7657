import { copyFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceRef } from '../catalog/types.ts';
import { cacheFolder, type Settings } from '../config/settings.ts';
import { isDiskFull, SourceError } from '../errors.ts';
import { besides, ifThere } from '../util/files.ts';
import { sha256 } from '../util/hash.ts';
import { claim } from './claim.ts';
import { aptProxy } from './origins/apt.ts';
import { debianFile } from './origins/debian.ts';
import { debianMirrors } from './origins/debian-mirrors.ts';
import { download } from './origins/download.ts';
import { gitTarball } from './origins/git.ts';
import { describeOrigin, type GivenOrigin, isRemoteGit, parseOrigin, publicOrigin } from './origins/spec.ts';
import { isTrusted } from './pins.ts';
import type { Store, StoredSource } from './store.ts';

/** What fetching tells while it goes on. */
export interface FetchEvents {
  started?: (source: SourceRef, origin: string) => void;
  progress?: (source: SourceRef, done: number, total: number | undefined) => void;
  done?: (source: SourceRef, stored: StoredSource, cached: boolean) => void;
  warn?: (text: string) => void;
}

/** What fetching needs of its surroundings. */
export interface FetchContext {
  store: Store;
  settings: Pick<Settings, 'origins' | 'trust' | 'offline' | 'mirrors' | 'debianMirror' | 'limits'>;
  cwd: string;
  signal?: AbortSignal | undefined;
  events?: FetchEvents | undefined;
}

/** Where to look for a source, in order: the user's own origins instead of all others, else mirrors, then its places. */
export async function originsOf(ref: SourceRef, context: FetchContext): Promise<GivenOrigin[]> {
  const { origins } = context.settings;
  const given = origins[`${ref.name}@${ref.version}`] ?? origins[ref.name];
  const commit = ref.pins.commit ?? ref.origins.find((origin) => origin.type === 'git')?.commit;
  const parsed = (texts: readonly string[]) => Promise.all(texts.map((text) => parseOrigin(text, commit, context.cwd)));
  if (given) return parsed(given);
  // A part of a release tarball comes from where the user has that tarball.
  const { within } = ref;
  const whole = within && (origins[`${within.name}@${within.version}`] ?? origins[within.name]);
  const tarballs = (await parsed((whole ?? []).filter((text) => !/^git[:+]/.test(text)))).filter(({ type }) => type !== 'git');
  if (tarballs.length > 0) return tarballs;
  const mirrored =
    (ref.pins.sha256 ?? ref.pins.sha512)
      ? context.settings.mirrors.map((base): GivenOrigin => ({ type: 'tarball', url: `${base.replace(/\/+$/, '')}/${ref.file}` }))
      : [];
  return [...mirrored, ...ref.origins];
}

/** Whether the user names origins for this source. */
export function isGiven(ref: Pick<SourceRef, 'name' | 'version'>, origins: Settings['origins']): boolean {
  return origins[ref.name] !== undefined || origins[`${ref.name}@${ref.version}`] !== undefined;
}

/** Whether an origin needs a connection. */
function isRemote(origin: GivenOrigin): boolean {
  if (origin.type === 'git') return isRemoteGit(origin.url);
  return origin.type === 'tarball' || origin.type === 'debian';
}

/**
 * Make sure that a source is in the store: found there and read again, or fetched from the first origin that gives
 * bytes which a pin proves (or that the user trusts). What fails a check is never stored.
 *
 * @throws SourceError SOURCE_UNAVAILABLE naming every origin tried and its result; where just one was tried, or all
 *   failed alike, that origin's own error; SOURCE_UNPINNED for one that nothing could prove
 */
export async function ensureSource(ref: SourceRef, context: FetchContext): Promise<StoredSource> {
  const { store, settings, events } = context;
  const trusted = isTrusted(ref, settings.trust);
  const stored = await store.find(ref, trusted);
  // Bytes that nothing proves are those that the user's origin gives now, not those that it gave some day.
  const asked = trusted && isGiven(ref, settings.origins);
  if (stored && !asked) {
    await store.check(stored);
    events?.done?.(ref, stored, true);
    return stored;
  }
  const shared = await fromWhole(ref, context);
  if (shared) return shared;
  const origins = await originsOf(ref, context);
  const hopeless = !trusted && Object.keys(ref.pins).length === 0 && !isGiven(ref, settings.origins);
  if (hopeless || origins.length === 0) throw unproved(ref);
  const failures: { origin: string; error: SourceError }[] = [];
  for (const origin of origins) {
    context.signal?.throwIfAborted();
    if (settings.offline && isRemote(origin)) {
      failures.push({ origin: describeOrigin(origin), error: new SourceError('SOURCE_OFFLINE', 'not asked, because of --offline') });
      continue;
    }
    try {
      events?.started?.(ref, describeOrigin(origin));
      const added = await fromOrigin(ref, origin, trusted, context);
      events?.done?.(ref, added, false);
      return added;
    } catch (error) {
      if (!(error instanceof SourceError) || error.code === 'STORE_DISK_FULL') throw error;
      failures.push({ origin: describeOrigin(origin), error });
    }
  }
  if (stored && failures.every(({ error }) => error.code === 'SOURCE_OFFLINE')) {
    await store.check(stored);
    events?.done?.(ref, stored, true);
    return stored;
  }
  throw unavailable(ref, failures);
}

/** A part of a release tarball, where that tarball is in the store already under its own name. */
async function fromWhole(ref: SourceRef, { store, events }: FetchContext): Promise<StoredSource | undefined> {
  const whole = ref.within && (await store.find({ ...ref.within, pins: ref.pins }, false));
  if (!whole) return undefined;
  const aside = besides(join(await store.incoming(), ref.file));
  await copyFile(whole.path, aside).catch(asSourceError);
  const added = await store.add(aside, { ref, origin: whole.record.origin, trusted: false });
  events?.done?.(ref, added, true);
  return added;
}

/** A message without the origin that it begins with, where that is said already. */
function bare(message: string, origin: string): string {
  return message.startsWith(`${origin}: `) ? message.slice(origin.length + 2) : message;
}

function byHandHint({ name, pins }: SourceRef): string {
  const trust = Object.keys(pins).length === 0 ? ` --trust ${name}` : '';
  return `give it by hand: --origin ${name}=<tarball, git repository or folder>${trust}, or \`pvgrub sources import\` (docs/offline.md)`;
}

/** The error for a source that no pin could prove: nothing is fetched only to be refused. */
function unproved(ref: SourceRef): SourceError {
  const [place] = ref.origins.map(describeOrigin);
  const trust = `--trust ${ref.name} takes ${place}; the result is then marked as unpinned`;
  return new SourceError('SOURCE_UNPINNED', `no pin is known for ${ref.name} ${ref.version}`, {
    hint: place === undefined ? byHandHint(ref) : `${trust}\n${byHandHint(ref)}`,
  });
}

function unavailable(ref: SourceRef, failures: { origin: string; error: SourceError }[]): SourceError {
  const [first] = failures;
  const codes = new Set(failures.map(({ error }) => error.code));
  const byHand = byHandHint(ref);
  if (first && failures.length === 1 && first.error.code !== 'SOURCE_OFFLINE') {
    const { code, message, expected, got, hint } = first.error;
    return new SourceError(
      code,
      code === 'SOURCE_MISMATCH' || code === 'SOURCE_UNPINNED' || code.startsWith('SOURCE_ARCHIVE')
        ? message
        : `${ref.name} ${ref.version} cannot be had from ${first.origin}: ${bare(message, first.origin)}`,
      {
        ...(expected === undefined ? {} : { expected }),
        ...(got === undefined ? {} : { got }),
        hint: hint === undefined ? byHand : `${hint}\n${byHand}`,
        cause: first.error,
      },
    );
  }
  const tried = failures.map(
    ({ origin, error }) => `  ${origin}: ${bare(error.message, origin)}${error.got === undefined ? '' : ` (got ${error.got})`}`,
  );
  const code = codes.size === 1 && first ? first.error.code : 'SOURCE_UNAVAILABLE';
  return new SourceError(code, `${ref.name} ${ref.version} cannot be had; tried:\n${tried.join('\n')}`, { hint: byHand });
}

/** Get the bytes from one origin into the store's own folder, and hand them to the store. */
async function fromOrigin(ref: SourceRef, origin: GivenOrigin, trusted: boolean, context: FetchContext): Promise<StoredSource> {
  const { store, settings, events, signal } = context;
  const incoming = await store.incoming();
  const aside = besides(join(incoming, ref.file));
  const transfer = {
    limit: settings.limits.source,
    signal,
    onProgress: (done: number, total: number | undefined) => events?.progress?.(ref, done, total),
  };
  let label = publicOrigin(origin);
  let commitObject: Uint8Array | undefined;
  let file = aside;
  let giveBack: (() => Promise<void>) | undefined;
  // A stable name, so that a cut download goes on in the next run; where another run is at it, a name of our own.
  const partial = async (name: string): Promise<string> => {
    const path = join(incoming, name);
    giveBack = await claim(path);
    return giveBack ? path : aside;
  };
  try {
    await receive();
    return await store.add(file, { ref, origin: label, commitObject, trusted });
  } catch (error) {
    // A cut download stays, to be resumed; nothing else does, nor what can never be whole here.
    const { code } = error as { code?: unknown };
    if (file === aside || code === 'SOURCE_TOO_LARGE' || code === 'STORE_DISK_FULL') await rm(file, { force: true });
    throw error;
  } finally {
    await giveBack?.();
  }

  async function receive(): Promise<void> {
    switch (origin.type) {
      case 'tarball':
        file = await partial(`${sha256(origin.url).slice(0, 16)}-${ref.file}`);
        await download(origin.url, file, transfer);
        break;
      case 'debian': {
        file = await partial(`debian-${origin.file}`);
        const pinned = ref.pins.sha256 !== undefined || ref.pins.sha512 !== undefined;
        const found = await debianFile(origin, file, {
          ...transfer,
          cache: join(cacheFolder(), 'debian'),
          mirrors: await debianMirrors(settings.debianMirror),
          aptProxy: await aptProxy(),
          warn: (text) => events?.warn?.(text),
          now: Date.now(),
          pinned,
        });
        label = `debian ${found.suite} source package ${origin.package} ${found.version}, ${origin.file}`;
        break;
      }
      case 'git': {
        const cache = join(cacheFolder(), 'git');
        const made = await gitTarball(origin.url, origin.commit, ref.top, aside, cache, signal, settings.limits.source).catch(
          asSourceError,
        );
        commitObject = made.commitObject;
        label = publicOrigin({ ...origin, commit: made.commit });
        break;
      }
      case 'dir':
      case 'file': {
        const path = origin.type === 'file' ? origin.path : await fileOf(ref, origin.path).catch(asSourceError);
        await copyLimited(path, aside, settings.limits.source);
      }
    }
  }
}

/**
 * Copy a file of this machine.
 * @param limit bytes
 * @throws SourceError SOURCE_UNAVAILABLE, SOURCE_TOO_LARGE, STORE_DISK_FULL
 */
export async function copyLimited(path: string, to: string, limit: number): Promise<void> {
  const { size } = await stat(path).catch(asSourceError);
  if (size > limit)
    throw new SourceError('SOURCE_TOO_LARGE', `${path} is larger than allowed`, {
      expected: `at most ${limit} bytes`,
      got: `${size} bytes`,
      hint: 'raise limits.source in the configuration',
    });
  await copyFile(path, to).catch(asSourceError);
}

function asSourceError(error: unknown): never {
  if (isDiskFull(error))
    throw new SourceError('STORE_DISK_FULL', 'no room left in the store', {
      hint: 'make room there, or give another folder with --store',
      cause: error,
    });
  // What the system says of a path: no such file, a folder instead of a file, no permission.
  if ((error as NodeJS.ErrnoException).syscall !== undefined)
    throw new SourceError('SOURCE_UNAVAILABLE', (error as Error).message, { cause: error });
  throw error;
}

/** The file of a source in a folder: by the name that people keep it under. */
async function fileOf(ref: SourceRef, folder: string): Promise<string> {
  const there = (await ifThere(readdir(folder))) ?? [];
  const debian = ref.origins.flatMap((origin) => (origin.type === 'debian' ? [origin.file] : []));
  const name = [ref.file, ...debian].find((candidate) => there.includes(candidate));
  if (name === undefined) throw new SourceError('SOURCE_UNAVAILABLE', `${folder} has no ${[ref.file, ...debian].join(' or ')}`);
  return join(folder, name);
}
