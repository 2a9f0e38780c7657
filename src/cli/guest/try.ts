import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { stripVTControlCharacters } from 'node:util';
import { bootGuest, type GuestBoot, type OwnDisk } from '../../boot/guest.ts';
import type { Goal } from '../../boot/guest-watch.ts';
import { cellFolder, readMetadata } from '../../build/artifacts.ts';
import { readyBootImage } from '../../build/boot-stage.ts';
import { ownerLabels, sweep, thisOwner } from '../../engine/labels.ts';
import { EXIT, printable, UsageError } from '../../errors.ts';
import { checkGuest, type GuestReport } from '../../guest/check/check.ts';
import { suitedLoader } from '../../guest/check/suits.ts';
import { menuOf } from '../../guest/domain/domain.ts';
import { type DomainFile, readDomain } from '../../guest/domain/read.ts';
import type { LoaderKind } from '../../guest/loader.ts';
import { catalogCells, cellLoader, chosenLoaders, fileLoader } from '../../guest/loaders.ts';
import { openGuest } from '../../guest/open.ts';
import { renderer } from '../../report/render.ts';
import { statOf } from '../../util/files.ts';
import { bootChoice } from '../boot-flags.ts';
import { bareSettings, type CommonOptions, planData, print, printJson } from '../context.ts';
import { withEngine } from '../engines.ts';
import { disksAtHand } from './domain.ts';

/** Options of `pvgrub guest try`. */
export interface TryOptions extends CommonOptions {
  disk?: string[];
  image?: string;
  menu?: string;
  memory?: string;
  limit?: string;
  until: string;
  accel?: string;
  setup: boolean;
  yes?: boolean;
  json?: boolean;
}

const say = (text: string) => process.stderr.write(`pvgrub: ${printable(text)}\n`);

/** MiB that a guest gets if nothing is said, and at the most without being asked: it is booted on a builder, not on its host. */
const MEMORY = 512;
const LIMIT = 600;
/** Nobody waits for ever, but who sits at the console decides. */
const ATTENDED_LIMIT = 86_400;

function wholeNumber(text: string | undefined, name: string, [least, most]: [number, number], otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError('OPTION_INVALID', `${name} ${text}`, { expected: `a whole number from ${least} to ${most}` });
}

/** The guest's disks: the one that is named, in the place of the configuration's own or of its first; the others that are at hand. */
async function disksOf(
  disk: string,
  file: DomainFile | undefined,
  more: readonly string[],
): Promise<{ path: string; vdev: string | undefined }[]> {
  const named = [disk, ...more];
  if (file === undefined) return named.map((path) => ({ path, vdev: undefined }));
  const { disks } = file.domain;
  const place = Math.max(
    0,
    disks.findIndex(({ target }) => target !== undefined && resolve(target) === resolve(disk)),
  );
  const others =
    more.length > 0
      ? more
      : await disksAtHand({ ...file, domain: { ...file.domain, disks: disks.filter((_, i) => i !== place) } }, undefined);
  const paths = disks.length === 0 ? named : others.toSpliced(place, 0, disk);
  // One that is not at hand is left out; the others keep their names, so loaders count them as they will.
  return paths.flatMap((path, i) => (path === undefined ? [] : [{ path, vdev: disks[i]?.vdev }]));
}

/** The disks' names in the guest: the configuration's; else xvda, or the one that its kernel wants for a file system on the whole disk. */
function withNames(disks: readonly { path: string; vdev: string | undefined }[], report: GuestReport): OwnDisk[] {
  const root = report.menus.map(({ boot }) => /(?:^|\s)root=\/dev\/(xvd[a-z]\d*)/.exec(boot?.args ?? '')?.[1]).find(Boolean);
  return disks.map(({ path, vdev }, n) => {
    const { size, table } = report.disks[n] ?? { size: 0, table: 'none' };
    const guess = n === 0 && table === 'none' && root !== undefined ? root : `xvd${String.fromCharCode(97 + n)}`;
    return { path, size, vdev: vdev ?? guess };
  });
}

/** The image file to boot with, and what it is: named, or the configuration's kernel, or one that is built and suits. */
async function imageOf(
  options: TryOptions,
  out: string,
  file: DomainFile | undefined,
  verdictsOf: (loaders: readonly LoaderKind[]) => GuestReport,
): Promise<{ path: string; loader: LoaderKind }> {
  const { image } = options;
  if (image !== undefined && ((await statOf(image))?.isFile() || image.includes('/')))
    return { path: image, loader: await fileLoader(image) };
  const own = file?.domain.kernel;
  if (image === undefined && own !== undefined && own.startsWith('/') && (await statOf(own))?.isFile()) {
    const loader = await fileLoader(own).catch(() => undefined);
    if (loader) return { path: own, loader };
  }
  const cells = catalogCells(planData());
  const wanted = chosenLoaders(cells.map(cellLoader), image === undefined ? [] : [image]);
  const built: { path: string; loader: LoaderKind }[] = [];
  for (const loader of wanted) {
    const cell = cells.find(({ id }) => id === loader.name);
    const folder = cell && cellFolder(out, cell);
    const metadata = folder === undefined ? undefined : await readMetadata(folder);
    if (folder !== undefined && metadata) built.push({ path: join(folder, metadata.image.file), loader });
  }
  const report = verdictsOf(built.map(({ loader }) => loader));
  const suited = suitedLoader(report)?.verdict.loader ?? (image === undefined ? undefined : built.at(-1)?.loader);
  const found = built.find(({ loader }) => loader === suited);
  if (found) return found;
  const best = suitedLoader(verdictsOf(wanted));
  throw new UsageError(
    'OPTION_INVALID',
    `there is no image to boot with ${image === undefined ? `in ${out} that suits this guest` : `that is ${image} in ${out}`}`,
    {
      hint: `--image <file>, or --out <folder with images>${best ? `; ${best.verdict.loader.name} would do: pvgrub build it, or pvgrub pull it` : '; pvgrub guest check tells what is in the way'}`,
    },
  );
}

/** Writes the guest's console to our output: as it is for a terminal, without control sequences elsewhere. */
function showing(): (text: string) => void {
  if (process.stdout.isTTY) return (text) => void process.stdout.write(Buffer.from(text, 'latin1'));
  const decoder = new StringDecoder('utf8');
  let held = '';
  return (text) => {
    const all = held + decoder.write(Buffer.from(text, 'latin1'));
    // A sequence that is not whole yet.
    const cut = all.lastIndexOf('\x1b');
    const whole = cut >= 0 && all.length - cut < 16 && !/[A-Za-z]/.test(all.slice(cut + 2)) ? all.slice(0, cut) : all;
    held = all.slice(whole.length);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: placing the cursor begins something new
    process.stdout.write(printable(stripVTControlCharacters(whole.replace(/\x1b\[\d*(;\d*)?H/g, '\n')).replaceAll('\r', '')));
  };
}

/** Gives the keys of our terminal to `type` until it is let go. */
function keyboard(): { keyboard: (type: (bytes: Uint8Array) => void) => void; release: () => void } {
  const { stdin } = process;
  let listener: ((bytes: Buffer) => void) | undefined;
  return {
    keyboard: (type) => {
      if (listener) stdin.off('data', listener);
      listener = type;
      stdin.setRawMode(true);
      stdin.on('data', listener);
      stdin.resume();
    },
    release: () => {
      if (listener) stdin.off('data', listener);
      stdin.setRawMode(false);
      stdin.pause();
    },
  };
}

/** `pvgrub guest try`: boot a guest's own disk in a real Xen; nothing is written to it. Exit code 5 where it does not come as far as is wanted. */
export async function tryCommand(disk: string, config: string | undefined, options: TryOptions): Promise<void> {
  const goal = options.until as Goal;
  const settings = bareSettings(options);
  const file = config === undefined ? undefined : await readDomain(config);
  const attended = Boolean(process.stdin.isTTY && process.stdout.isTTY) && !options.json;
  const paths = await disksOf(disk, file, options.disk ?? []);
  using guest = openGuest(paths.map(({ path }) => path));
  const folder = guest.disks.find(({ size }) => size === 0);
  if (folder) throw new UsageError('OPTION_INVALID', `${folder.name} is a folder`, { expected: 'a disk image or block device' });
  const { path, loader } = await imageOf(options, settings.output, file, (loaders) => checkGuest(guest.disks, loaders));
  const report = checkGuest(guest.disks, [loader]);
  const [verdict] = report.verdicts;
  if (verdict && !verdict.ok) for (const { where, what } of verdict.obstacles) say(`expect trouble: ${where}: ${what}`);
  const legacy = report.menus.find(({ name }) => name === verdict?.menu)?.kind === 'legacy';
  const menu = options.menu ?? (file && menuOf(file.domain)) ?? (loader.loader === 'pv-grub' || legacy ? verdict?.menu : undefined);
  if (loader.loader === 'pv-grub' && menu === undefined) say('no menu is known: expect the prompt of the loader');
  const boot: GuestBoot = {
    image: await readFile(path),
    arch: loader.arch,
    disks: withNames(paths, report),
    extra: menu ?? '',
    memory: wholeNumber(options.memory, '--memory', [32, 16_384], Math.min(file?.domain.memory ?? MEMORY, MEMORY)),
    limit: wholeNumber(options.limit, '--limit', [1, ATTENDED_LIMIT], attended ? ATTENDED_LIMIT : LIMIT),
    goal,
  };
  const accelerator = bootChoice({ ...(options.accel === undefined ? {} : { accel: options.accel }) }).accelerator;
  const emit = renderer('plain');
  await withEngine(settings, options, emit, async (engine, signal) => {
    await sweep(engine);
    const labels = ownerLabels(thisOwner(randomBytes(8).toString('hex')));
    const image = await readyBootImage({ engine, settings, cwd: process.cwd(), labels, signal, emit });
    say(
      `${loader.name} boots ${boot.disks.map((one) => `${one.path} as ${one.vdev}`).join(', ')}${menu === undefined ? '' : ` by ${menu}`}; nothing is written to it`,
    );
    say(`starting Xen …${attended ? ' Ctrl-] leaves the guest' : ''}`);
    const keys = attended ? keyboard() : undefined;
    const show = options.json ? () => {} : showing();
    try {
      const { outcome, diagnosis, environment } = await bootGuest(boot, {
        engine,
        image,
        labels,
        accelerator,
        signal,
        warn: say,
        show,
        keyboard: keys?.keyboard,
      });
      keys?.release();
      if (options.json) printJson({ ...times(outcome), loader: loader.name, disks: boot.disks, extra: boot.extra, diagnosis, environment });
      else {
        print('');
        if (!outcome.ok) for (const line of diagnosis.slice(0, 12)) say(printable(line));
        say(`${printable(outcome.said)}${timesText(outcome)}`);
      }
      if (!outcome.ok) process.exitCode = EXIT.output;
    } finally {
      keys?.release();
    }
  });
}

const inSeconds = (ms: number | undefined) => (ms === undefined ? null : Math.round(ms / 100) / 10);

function times({
  menu,
  kernel,
  login,
  ok,
  said,
}: {
  menu: number | undefined;
  kernel: number | undefined;
  login: number | undefined;
  ok: boolean;
  said: string;
}) {
  return { ok, said, menu: inSeconds(menu), kernel: inSeconds(kernel), login: inSeconds(login) };
}

function timesText(outcome: Parameters<typeof times>[0]): string {
  const { menu, kernel, login } = times(outcome);
  const parts = Object.entries({ menu, kernel, login }).flatMap(([name, seconds]) =>
    seconds === null ? [] : [`${name} after ${seconds} s`],
  );
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}
