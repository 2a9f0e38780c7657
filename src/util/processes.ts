import { readdir, readFile } from 'node:fs/promises';

/** Processes of this machine, as far as this one may see them; none where there is no /proc. */

async function commands(): Promise<{ pid: number; argv: string[] }[]> {
  const names = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const all = await Promise.all(
    names.map(async (name) => ({
      pid: Number(name),
      argv: (await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')).split('\0'),
    })),
  );
  return all.filter(({ argv }) => argv[0] !== '');
}

/** What decides where the product keeps things, if nothing is said. */
const DECIDES = ['HOME', 'XDG_CACHE_HOME', 'PVGRUB_STORE', 'PVGRUB_CACHE'];

/**
 * How many other processes of this product run that may be using its folders: those to which the environment says the same,
 * or cannot be seen, and those that are told one of these folders.
 */
export async function ourProcesses(folders: readonly string[]): Promise<number> {
  const found = (await commands()).filter(({ pid, argv }) => {
    const at = argv.findIndex((word) => /\/src\/cli\/main\.[jt]s$/.test(word));
    return at > 0 && pid !== process.pid && !['clean', 'complete', 'completion', 'help'].includes(argv[at + 1] ?? '');
  });
  const using = await Promise.all(
    found.map(async ({ pid, argv }) => folders.some((folder) => argv.some((word) => word.endsWith(folder))) || sameEnvironment(pid)),
  );
  return using.filter(Boolean).length;
}

async function sameEnvironment(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => undefined);
  if (text === undefined) return true;
  const theirs = new Map(text.split('\0').map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
  return DECIDES.every((name) => (theirs.get(name) ?? '') === (process.env[name] ?? ''));
}

/** How many Docker daemons run. */
export async function daemons(): Promise<number> {
  return (await commands()).filter(({ argv }) => /(^|\/)dockerd$/.test(argv[0] ?? '')).length;
}
