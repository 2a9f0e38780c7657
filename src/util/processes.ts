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

/** How many other processes of this product run that may be using its folders. */
export async function ourProcesses(): Promise<number> {
  const found = (await commands()).filter(({ pid, argv }) => {
    const at = argv.findIndex((word) => /\/src\/cli\/main\.[jt]s$/.test(word));
    return at > 0 && pid !== process.pid && !['clean', 'complete', 'completion', 'help'].includes(argv[at + 1] ?? '');
  });
  return found.length;
}

/** How many Docker daemons run. */
export async function daemons(): Promise<number> {
  return (await commands()).filter(({ argv }) => /(^|\/)dockerd$/.test(argv[0] ?? '')).length;
}
