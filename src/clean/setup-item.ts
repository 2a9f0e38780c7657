import { readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { privateData } from '../setup/private-paths.ts';
import { installedPackages, setupRecord, writeSetup } from '../setup/record.ts';
import { run } from '../util/process.ts';
import { type Item, sizeOf } from './items.ts';

/** What set-up installed, and the private engine's data. @param inUse why it must stay now */
export async function setupItems(inUse: string | undefined): Promise<Item[]> {
  const busy = inUse === undefined ? {} : { inUse };
  const items: Item[] = [];
  const data = await sizeOf([privateData()]);
  if (data > 0)
    items.push({
      kind: 'setup',
      what: `the private engine's images and volumes in ${privateData()}`,
      bytes: data,
      ...busy,
      free: async () => void (await rm(privateData(), { recursive: true, force: true })),
    });
  const record = await setupRecord();
  const there = await installedPackages();
  const packages = record.packages.filter((name) => there.has(name));
  if (packages.length > 0)
    items.push({
      kind: 'setup',
      what: `Debian packages that set-up installed: ${packages.join(' ')}`,
      bytes: packages.reduce((sum, name) => sum + 1024 * (there.get(name) ?? 0), 0),
      ...busy,
      free: () => removePackages(packages),
    });
  const units = record.units.map((unit) => join('/etc/systemd/system', unit));
  const masks: string[] = [];
  for (const path of units) if ((await readlink(path).catch(() => '')) === '/dev/null') masks.push(path);
  if (masks.length > 0)
    items.push({
      kind: 'setup',
      what: `masks of services: ${record.units.join(' ')}`,
      bytes: 0,
      free: async () => {
        for (const path of masks) await rm(path);
        await writeSetup({ ...(await setupRecord()), units: [] });
        return undefined;
      },
    });
  return items;
}

/** Packages that would go, of what `apt-get -s remove` prints. Pure. */
export function wouldRemove(simulation: string): string[] {
  return [...simulation.matchAll(/^(?:Remv|Purg) (\S+)/gm)].map(([, name]) => name as string);
}

async function removePackages(packages: readonly string[]): Promise<string | undefined> {
  const simulated = await run('apt-get', ['-s', 'remove', ...packages]);
  if (simulated.code !== 0) return `apt-get would not remove them: ${simulated.stderr.trim().split('\n').at(-1)}`;
  const bare = (name: string) => name.replace(/:.*$/, '');
  const known = new Set(packages.map(bare));
  const others = wouldRemove(simulated.stdout.toString()).filter((name) => !known.has(bare(name)));
  // Something that came later needs them: it is not ours to take away.
  if (others.length > 0) return `${others.join(', ')} need them, and were not installed by set-up`;
  const removed = await run('apt-get', ['-y', '-q', 'remove', ...packages], { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  if (removed.code !== 0) return `apt-get remove failed: ${removed.stderr.trim().split('\n').at(-1)}`;
  await writeSetup({ ...(await setupRecord()), packages: [] });
  return undefined;
}
