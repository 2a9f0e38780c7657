import { type Grub2Entry, parseGrub2Config } from '../menu/grub-cfg.ts';
import { parseDevice, splitPath } from '../menu/legacy.ts';
import { contentOf, type Volume } from '../volume.ts';
import type { BootFile, BootFiles } from './boot-files.ts';
import { argumentFindings, type Boot, type CheckedMenu, missing } from './entry.ts';
import type { Finding } from './finding.ts';

/** Checks of grub.cfg: its entries' files, as far as they can be told without running it. Pure. */

const MAX_MENU = 2 * 2 ** 20;

/** A device as GRUB 2 writes it, "(hd0,1)", "(hd0,msdos1)", "(hd0,gpt1)": partitions are counted from 1. */
function volumeOf(files: BootFiles, text: string): Volume | undefined {
  const match = /^\(hd(\d+)(?:,(?:msdos|gpt)?(\d+))?\)$/.exec(text);
  if (!match) return undefined;
  const device = parseDevice(match[2] === undefined ? `(hd${match[1]})` : `(hd${match[1]},${Number(match[2]) - 1})`);
  return files.volumes.find((volume) => volume.device.disk === device?.disk && volume.device.partition === device.partition);
}

/** A file that an entry names; undefined where only running the script could tell. */
function place(files: BootFiles, text: string, root: Volume): BootFile | undefined {
  const plain = text.replace(/^\(\$\{?root\}?\)|^\$\{?root\}?/, '');
  const { device, path } = splitPath(plain);
  const volume = device === undefined ? root : volumeOf(files, device);
  return volume && path.startsWith('/') && !path.includes('$') ? files.at(volume, path) : undefined;
}

function bootOf(entry: Grub2Entry, files: BootFiles, home: Volume, at: (line: number) => string): Boot | undefined {
  const root = entry.search.map((uuid) => files.byUuid(uuid)).find((volume) => volume !== undefined) ?? home;
  if (!entry.kernel) return undefined;
  const kernel = place(files, entry.kernel.path, root);
  if (!kernel) return undefined;
  return {
    title: entry.title,
    where: at(entry.kernel.line),
    kernel,
    args: entry.kernel.args,
    initrds: entry.initrds.flatMap(({ path }) => place(files, path, root) ?? []),
  };
}

/** Check a grub.cfg. Its first entry counts as the one that is booted: what `default` is, only running it would tell. */
export function checkGrub2Menu(file: BootFile, files: BootFiles): CheckedMenu {
  const text = contentOf(file.found, MAX_MENU)?.toString('utf8');
  const config = parseGrub2Config(text ?? '');
  const findings: Finding[] = [];
  const at = (line: number) => `${file.name}:${line}`;
  const entries = config.entries.filter(({ kernel }) => kernel !== undefined);
  const [first] = entries;
  if (text === undefined) findings.push({ level: 'error', where: file.name, what: 'its content cannot be read here' });
  else if (!first && config.elsewhere.length > 0)
    findings.push({
      level: 'warning',
      where: file.name,
      what: `its entries are elsewhere (${config.elsewhere.slice(0, 3).join('; ')}), which is not followed here`,
      hint: 'pvgrub guest try shows whether they boot',
    });
  else if (!first)
    findings.push({ level: 'error', where: file.name, what: 'it has no entry with a kernel', hint: 'update-grub in the guest writes one' });
  const boots = entries.map((entry, i) => {
    const boot = bootOf(entry, files, file.volume, at);
    const level = i === 0 ? 'error' : 'warning';
    if (boot) findings.push(...missing(boot, level), ...(i === 0 ? argumentFindings(boot, files) : []));
    else
      findings.push({
        level: 'warning',
        where: at(entry.line),
        what: `which kernel "${entry.title}" boots, only running it would tell (${entry.kernel?.path})`,
      });
    return boot;
  });
  return {
    name: file.name,
    kind: 'grub2',
    file,
    entries: entries.length,
    chosen: first && { index: 0, title: first.title },
    timeout: config.timeout,
    boot: boots[0],
    others: boots.slice(1).flatMap((boot) => boot ?? []),
    findings,
  };
}
