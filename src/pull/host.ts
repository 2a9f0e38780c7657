import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { seriesOf } from '../catalog/version.ts';
import { UsageError } from '../errors.ts';
import { ifThere, statOf } from '../util/files.ts';

/** The Xen of a machine: which one runs, and where its tools look for kernels. */

/**
 * Version of the Xen that runs here; undefined where none does.
 * Linux tells it in /sys/hypervisor (Documentation/ABI/stable/sysfs-hypervisor-xen).
 * @param root of the system, `/` or a folder
 */
export async function runningXen(root: string): Promise<string | undefined> {
  const read = (name: string) =>
    readFile(join(root, 'sys/hypervisor', name), 'utf8').then(
      (text) => text.trim(),
      () => '',
    );
  if ((await read('type')) !== 'xen') return undefined;
  const [major, minor, extra] = await Promise.all(['major', 'minor', 'extra'].map((name) => read(`version/${name}`)));
  if (!/^\d+$/.test(major ?? '') || !/^\d+$/.test(minor ?? '')) return undefined;
  return `${major}.${minor}${/^\.\d+/.exec(extra ?? '')?.[0] ?? ''}`;
}

const isFolder = async (path: string) => (await statOf(path))?.isDirectory() ?? false;

/**
 * The folder where a Xen's tools look for a kernel without a path: XENFIRMWAREDIR of its build. Debian has one for each
 * release (/usr/lib/xen-4.17/boot), others /usr/lib/xen/boot or /usr/libexec/xen/boot.
 * @param xen version of the Xen that is meant, if it is known
 * @throws UsageError OPTION_INVALID where there is none, or several and it is not known which is meant
 */
export async function bootFolder(root: string, xen: string | undefined): Promise<string> {
  const lib = join(root, 'usr/lib');
  const releases = ((await ifThere(readdir(lib))) ?? []).filter((name) => /^xen-\d+\.\d+$/.test(name)).sort();
  const mine = xen === undefined ? undefined : `xen-${seriesOf(xen)}`;
  const looked = [
    ...(mine === undefined ? [] : [join(lib, mine, 'boot')]),
    join(lib, 'xen/boot'),
    join(root, 'usr/libexec/xen/boot'),
    join(root, 'usr/lib64/xen/boot'),
  ];
  for (const folder of looked) if (await isFolder(folder)) return folder;
  const others = releases.filter((name) => name !== mine).map((name) => join(lib, name, 'boot'));
  const [only, ...more] = (await Promise.all(others.map(async (folder) => ((await isFolder(folder)) ? [folder] : [])))).flat();
  if (xen === undefined && only !== undefined && more.length === 0) return only;
  throw new UsageError('OPTION_INVALID', only === undefined ? 'no Xen is installed here' : 'it is not clear which Xen is meant', {
    expected: `one of the folders ${looked.join(', ')}`,
    ...(only === undefined ? {} : { got: [only, ...more].join(', ') }),
    hint: '--to <folder> names where to install',
  });
}
