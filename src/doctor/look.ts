import { stat } from 'node:fs/promises';
import { request } from 'undici';
import { placedCells } from '../build/artifacts.ts';
import { shareOf } from '../build/budget.ts';
import { ROOM_FOR_MEMORY } from '../build/farm.ts';
import { freeAt, sizeOf } from '../clean/items.ts';
import type { EngineWish, Settings } from '../config/settings.ts';
import { type Engine, engineName } from '../engine/engine.ts';
import { findEngine } from '../engine/find/find.ts';
import { errorData } from '../errors.ts';
import type { Cell } from '../plan/plan.ts';
import { HOST_TOOLS, which } from '../setup/host-tools.ts';
import { isDebian } from '../setup/setup.ts';
import { agent } from '../sources/origins/agent.ts';
import { aptProxy } from '../sources/origins/apt.ts';
import { debianKeyring } from '../sources/origins/debian.ts';
import { debianMirrors, PRIMARY_MIRROR } from '../sources/origins/debian-mirrors.ts';
import { publicUrl } from '../sources/origins/download.ts';
import { isTrusted } from '../sources/pins.ts';
import { Store } from '../sources/store.ts';
import { type Finding, failure, ok, warning } from './finding.ts';
import { clockFinding, memoryFinding, roomFinding, USUAL_NEEDS } from './needs.ts';

/** The oldest API that has all we use (Docker 20.10, Podman 4.3). */
const OLDEST_API = [1, 40] as const;

/** Engines that settings name: what they are, and whether they have what a plan of so many cells needs. */
export async function engineFindings(settings: Settings, cells: number): Promise<Finding[]> {
  const found = (await Promise.all(settings.engines.map((wish) => oneEngine(wish, settings, cells)))).flat();
  const answers = found.some(({ name, level }) => name === 'engine' && level === 'ok');
  // Where one answers, the others are left out of a build, which is no error.
  return found.map((one) => (answers && one.name === 'engine' && one.level === 'error' ? { ...one, level: 'warning' } : one));
}

async function oneEngine(wish: EngineWish, settings: Settings, cells: number): Promise<Finding[]> {
  let engine: Engine;
  try {
    engine = await findEngine(wish.address);
  } catch (error) {
    const { message, hint } = errorData(error);
    // As set-up decides it (src/setup/setup.ts).
    const own = wish.address === 'private' || (wish.address === 'auto' && !process.env['DOCKER_HOST']);
    const allowed = process.getuid?.() === 0 && !['1', 'true', 'yes'].includes(process.env['PVGRUB_NO_SETUP'] ?? '');
    const can = own && allowed && ((await which('dockerd')) !== undefined || ((await isDebian()) && !settings.offline));
    const first = message.split('\n')[0] ?? '';
    return [
      can
        ? warning('engine', `none runs: ${first}`, 'none needed: as root on Debian, pvgrub build sets up a private one')
        : failure('engine', first, hint ?? 'start Docker or Podman, or name one with --engine'),
    ];
  }
  const share = shareOf(engine, settings, wish);
  const side = Math.max(1, Math.min(share.cells, cells));
  const said = `${engineName(engine)} (API ${engine.apiVersion}, ${engine.foundBy}), ${engine.cores} cores, of which ${share.cores} are used`;
  const [major = 0, minor = 0] = engine.apiVersion.split('.').map(Number);
  const old = major < OLDEST_API[0] || (major === OLDEST_API[0] && minor < OLDEST_API[1]);
  return [
    old ? warning('engine', `${said}: an old API, not tried`, 'Docker 20.10 or Podman 4.3, or later') : ok('engine', said),
    memoryFinding('memory', engine.memory, side, ROOM_FOR_MEMORY),
    await engineDisk(engine, side),
  ];
}

/** The disk where an engine keeps images and volumes, if it is on this machine. */
async function engineDisk(engine: Engine, side: number): Promise<Finding> {
  const need = side * USUAL_NEEDS.volume + USUAL_NEEDS.images;
  const what = `images, and volumes of ${side} ${side === 1 ? 'cell' : 'cells'}`;
  const { DockerRootDir: root } = (await engine.docker.info()) as { DockerRootDir?: string };
  const here = engine.endpoint.startsWith('unix:') && root !== undefined && (await stat(root).catch(() => undefined));
  return roomFinding('engine disk', here ? await freeAt(root) : undefined, need, what);
}

/** Room for results and sources, from what earlier ones took. */
export async function diskFindings(settings: Settings, cells: readonly Cell[]): Promise<Finding[]> {
  const placed = await placedCells(settings.output).catch(() => []);
  const each = placed.length > 0 ? (await sizeOf(placed.map(({ folder }) => folder))) / placed.length : USUAL_NEEDS.result;
  const ids = new Set(placed.map(({ metadata }) => metadata.id));
  const fresh = cells.filter(({ id }) => !ids.has(id)).length;
  const store = new Store(settings.store);
  const records = await store.list().catch(() => []);
  const mean = records.length > 0 ? records.reduce((sum, { size }) => sum + size, 0) / records.length : USUAL_NEEDS.source;
  const missing = await missingSources(settings, cells);
  return [
    roomFinding('output', await freeAt(settings.output), fresh * each, `${fresh} more results in ${settings.output}`),
    roomFinding('store', await freeAt(settings.store), missing.length * mean, `${missing.length} sources to fetch into ${settings.store}`),
  ];
}

/** Sources of cells that the store has not, each once. */
async function missingSources(settings: Settings, cells: readonly Cell[]) {
  const store = new Store(settings.store);
  const refs = [
    ...new Map(cells.flatMap(({ recipe }) => recipe.sources.map((ref) => [`${ref.name}@${ref.version}`, ref] as const))).values(),
  ];
  const there = await Promise.all(refs.map((ref) => store.find(ref, isTrusted(ref, settings.trust)).catch(() => undefined)));
  return refs.filter((_, i) => !there[i]);
}

/** Mirrors and the places of the sources that are still to be fetched, and what the clock is by their answers. */
export async function networkFindings(settings: Settings, cells: readonly Cell[], now: () => number): Promise<Finding[]> {
  if (settings.offline) return [ok('network', 'not looked at, because of --offline')];
  const told: number[] = [];
  const ask = async (url: string, proxy?: string) => {
    const { headers, statusCode, body } = await request(url, {
      method: 'HEAD',
      dispatcher: agent(url, proxy),
      headersTimeout: 8000,
      bodyTimeout: 8000,
      signal: AbortSignal.timeout(10_000),
    });
    await body.dump();
    const date = Date.parse(String(headers['date'] ?? ''));
    if (!Number.isNaN(date)) told.push(date);
    return statusCode;
  };
  const reach = async (name: string, url: string, hint: string, proxy?: string): Promise<Finding> => {
    const place = publicUrl(url);
    try {
      const status = await ask(url, proxy);
      return status < 500 ? ok(name, `${place} answers`) : warning(name, `${place} answers with ${status}`, hint);
    } catch (error) {
      return warning(name, `${place} cannot be reached: ${(error as Error).message || (error as { code?: string }).code}`, hint);
    }
  };
  const mirrors = await debianMirrors(settings.debianMirror);
  const apt = await aptProxy();
  const own = await Promise.all(
    mirrors.map(async (mirror) => {
      const finding = await reach('mirror', `${mirror}/`, 'set debianMirror, or PVGRUB_DEBIAN_MIRROR', await apt(`${mirror}/`));
      return { mirror, finding };
    }),
  );
  // The primary mirror is only a fallback: it is not reported as unreachable where another mirror answers.
  const served = own.some(({ finding }) => finding.level === 'ok');
  const needed = own.filter(({ mirror, finding }) => finding.level === 'ok' || !served || mirror !== PRIMARY_MIRROR);
  const findings = await Promise.all([
    ...needed.map(({ finding }) => finding),
    ...(await placesOf(settings, cells)).map(({ url, sources }) =>
      reach('origin', url, `give a mirror of ${sources} with --origin, or fill the store elsewhere: docs/offline.md`),
    ),
  ]);
  return [...findings, clockFinding(now(), told)];
}

/** One address of each server that sources would be fetched from, with the names of those sources. */
async function placesOf(settings: Settings, cells: readonly Cell[]): Promise<{ url: string; sources: string }[]> {
  const places = new Map<string, { url: string; sources: Set<string> }>();
  for (const ref of await missingSources(settings, cells)) {
    const own = settings.origins[`${ref.name}@${ref.version}`] ?? settings.origins[ref.name];
    const urls = own ?? ref.origins.flatMap((origin) => (origin.type === 'tarball' || origin.type === 'git' ? [origin.url] : []));
    for (const url of urls.map((text) => text.replace(/^git(\+|:(?=http))/, '')).filter((text) => /^https?:\/\//.test(text))) {
      const { host } = new URL(url);
      const place = places.get(host) ?? { url, sources: new Set() };
      place.sources.add(ref.name);
      places.set(host, place);
    }
  }
  return [...places.values()].map(({ url, sources }) => ({ url, sources: [...sources].join(', ') }));
}

/** Programs of this machine, and Debian's keyring. */
export async function toolFindings(): Promise<Finding[]> {
  const keyring = await debianKeyring();
  const tools = await Promise.all(
    HOST_TOOLS.map(async ({ command, purpose, package: name }) => {
      const path = await which(command);
      return path ? ok(command, path) : warning(command, `missing, wanted for ${purpose}`, `apt-get install ${name}`);
    }),
  );
  return [
    ...tools,
    keyring === undefined
      ? warning('keyring', "Debian's is missing, wanted for all that comes from a Debian mirror", 'apt-get install debian-archive-keyring')
      : ok('keyring', keyring),
  ];
}

/** Node itself. */
export const nodeFinding = (): Finding => ok('node', process.version);
