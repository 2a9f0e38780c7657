import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stateFolder } from '../config/settings.ts';
import { ifThere, writeFileAtomic } from '../util/files.ts';
import { run } from '../util/process.ts';

/** What set-up has changed on this machine, written down so that `pvgrub clean setup` can take just that away again. */
export interface SetupRecord {
  /** Debian packages that came in with it, those that they depend on included. */
  packages: string[];
  /** Units that it masked. */
  units: string[];
}

const file = (env: NodeJS.ProcessEnv) => join(stateFolder(env), 'setup.json');

/** What is on record; empty lists where nothing is, or it cannot be read. */
export async function setupRecord(env: NodeJS.ProcessEnv = process.env): Promise<SetupRecord> {
  const text = await ifThere(readFile(file(env), 'utf8'));
  try {
    const { packages, units } = JSON.parse(text ?? '{}') as Partial<SetupRecord>;
    return { packages: packages ?? [], units: units ?? [] };
  } catch {
    return { packages: [], units: [] };
  }
}

/** Add to the record. */
export async function recordSetup(more: Partial<SetupRecord>, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const { packages, units } = await setupRecord(env);
  await writeSetup({ packages: [...packages, ...(more.packages ?? [])], units: [...units, ...(more.units ?? [])] }, env);
}

/** Write the record anew. */
export async function writeSetup({ packages, units }: SetupRecord, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  await mkdir(dirname(file(env)), { recursive: true });
  const record = { packages: [...new Set(packages)].sort(), units: [...new Set(units)].sort() };
  await writeFileAtomic(file(env), `${JSON.stringify(record, null, 1)}\n`);
}

/** Names of the Debian packages that are installed now, with the KiB that each takes. */
export async function installedPackages(): Promise<Map<string, number>> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills it in.
  const format = '${binary:Package}\t${Installed-Size}\t${db:Status-Status}\n';
  const { stdout } = await run('dpkg-query', ['-W', '-f', format]).catch(() => ({ stdout: Buffer.alloc(0) }));
  const lines = stdout
    .toString()
    .split('\n')
    .map((line) => line.split('\t'));
  return new Map(lines.flatMap(([name, size, status]) => (name && status === 'installed' ? [[name, Number(size)] as const] : [])));
}
