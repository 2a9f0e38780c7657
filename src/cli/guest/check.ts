import { stateFolder } from '../../config/settings.ts';
import { EXIT, UsageError } from '../../errors.ts';
import { checkGuest } from '../../guest/check/check.ts';
import { reportData, reportText } from '../../guest/check/report.ts';
import type { LoaderKind } from '../../guest/loader.ts';
import { catalogCells, cellLoader, chosenLoaders, fileLoader, publishedLoader } from '../../guest/loaders.ts';
import { type LegacyDevice, parseDevice } from '../../guest/menu/legacy.ts';
import { openGuest } from '../../guest/open.ts';
import { openPublication } from '../../pull/open-publication.ts';
import { statOf } from '../../util/files.ts';
import { planData, print, printJson } from '../context.ts';
import { publicKeyOf } from '../verify.ts';

/** Options that choose loaders. */
export interface LoaderOptions {
  image?: string[];
  from?: string;
  key?: string;
}

/** Options of `pvgrub guest check`. */
export interface CheckOptions extends LoaderOptions {
  device?: string;
  json?: boolean;
}

/** What `--device` names. @throws UsageError OPTION_INVALID */
export function deviceOption(text: string | undefined): LegacyDevice | undefined {
  if (text === undefined) return undefined;
  const device = parseDevice(text);
  if (device) return device;
  throw new UsageError('OPTION_INVALID', `--device ${text} is no device of the loader`, {
    expected: '(hd0) for a whole disk, (hd0,0) for its first partition',
  });
}

/** The loaders that are meant: image files, cells or globs over them, a publication's images; all of the catalog if nothing is said. */
export async function loadersOf({ image = [], from, key }: LoaderOptions): Promise<LoaderKind[]> {
  const files: string[] = [];
  const selectors: string[] = [];
  for (const name of image) ((await statOf(name))?.isFile() || name.includes('/') ? files : selectors).push(name);
  const found = await Promise.all(files.map(fileLoader));
  if (files.length > 0 && selectors.length === 0 && from === undefined) return found;
  const published =
    from === undefined ? undefined : (await openPublication(from, await publicKeyOf(key), stateFolder())).opened.index.images;
  const all = published ? published.map(publishedLoader) : catalogCells(planData()).map(cellLoader);
  return [...found, ...chosenLoaders(all, selectors)];
}

/** `pvgrub guest check`: whether a guest boots through a loader, and what stands in the way. Exit code 5 where no loader boots it. */
export async function checkCommand(where: string[], options: CheckOptions): Promise<void> {
  const device = deviceOption(options.device);
  const loaders = await loadersOf(options);
  using guest = openGuest(where, device);
  const report = checkGuest(guest.disks, loaders);
  if (options.json) printJson(reportData(report));
  else print(reportText(report));
  if (!report.verdicts.some(({ ok }) => ok)) process.exitCode = EXIT.output;
}
