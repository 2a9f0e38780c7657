import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { expect, test } from 'vitest';
import { encryptedPem, newKey, publicKeyLine } from '../../src/publish/key.ts';
import { rollBack } from '../../src/pull/install.ts';
import { placeAt } from '../../src/pull/place.ts';
import { pullImage } from '../../src/pull/pull.ts';
import { readIndex } from '../../src/pull/read-index.ts';
import { verifyPublication } from '../../src/pull/verify.ts';
import { verifyFile } from '../../src/pull/verify-file.ts';
import { sha256 } from '../../src/util/hash.ts';
import { pvgrub, root } from '../support/cli.ts';
import { indexOf, makeArtifacts, publishTo } from '../support/published.ts';
import { tempFolder } from '../support/temp-folder.ts';

const key = newKey();
const [WIDE, NARROW] = ['pv-grub-4.17.5-x86_64', 'pv-grub-4.17.5-x86_32'];
const demands = () => ({ key: key.public, now: new Date() });

/** Call the command line so that it ends before its n-th change of the disk. */
const killedAt = (n: number, args: string[], env: NodeJS.ProcessEnv = {}) =>
  pvgrub(args, {
    program: [process.execPath, '--import', join(root, 'test/support/kill-at.mjs'), join(root, 'src/cli/main.ts')],
    env: { KILL_AT: String(n), PVGRUB_KEY: encryptedPem(key, 'x'), PVGRUB_KEY_PASSPHRASE: 'x', ...env },
  });

/** Do something for each step, some side by side, until one comes to its end unharmed. @returns how many steps there were */
async function everyStep(work: (n: number) => Promise<boolean>): Promise<number> {
  const queue = new PQueue({ concurrency: 3 });
  let done = 0;
  for (let n = 1; done === 0; n++) {
    await queue.onSizeLessThan(1);
    void queue.add(async () => {
      if (!(await work(n))) done = done === 0 ? n : Math.min(done, n);
    });
  }
  await queue.onIdle();
  return done - 1;
}

test('killed at any step, readers see the old publication or the new one, whole; publishing again finishes it', async () => {
  const [old, fresh, base] = [tempFolder(), tempFolder(), tempFolder()];
  await makeArtifacts(old, WIDE, key, { size: 30_000 });
  await makeArtifacts(fresh, WIDE, key, { size: 20_000, unpinned: true });
  await makeArtifacts(fresh, NARROW, key, { size: 20_000 });
  await publishTo(base, old, key);
  const serials = new Set<number>();
  const steps = await everyStep(async (n) => {
    const folder = tempFolder();
    cpSync(base, folder, { recursive: true, preserveTimestamps: true });
    const { code } = await killedAt(n, ['publish', folder, '--from', fresh, '--allow-unproven']);
    const place = await placeAt(folder);
    const opened = await readIndex(place, demands());
    serials.add(opened.index.images.length);
    for (const image of opened.index.images) {
      const { path } = await pullImage(place, image, key.public, join(folder, '../pulled', String(n)), {});
      expect(sha256(readFileSync(path))).toBe(image.image.sha256);
    }
    await publishTo(folder, fresh, key, { allowUnproven: true });
    const { index } = await verifyPublication(place, demands());
    expect(index.images.map(({ id }) => id)).toEqual([NARROW, WIDE]);
    return code === null;
  });
  // Before the index was replaced, and after.
  expect([...serials].sort()).toEqual([1, 2]);
  expect(steps).toBeGreaterThan(20);
}, 300_000);

test('killed at any step of installing, there is the old image or the new one, whole', async () => {
  const [old, fresh, base, publication] = [tempFolder(), tempFolder(), tempFolder(), tempFolder()];
  await makeArtifacts(old, WIDE, key, { size: 30_000 });
  await makeArtifacts(fresh, WIDE, key, { size: 20_000 });
  await publishTo(publication, fresh, key);
  const before = readFileSync(join(old, 'pv-grub/4.17.5/x86_64/pv-grub-x86_64.gz'));
  writeFileSync(join(base, 'pv-grub-x86_64.gz'), before);
  const wanted = indexOf(publication).images[0]?.image.sha256;
  const args = (folder: string) => ['pull', '4.17', '--from', publication, '--key', publicKeyLine(key.public), '--to', folder];
  const seen = new Set<string>();
  const steps = await everyStep(async (n) => {
    const folder = tempFolder();
    cpSync(base, folder, { recursive: true });
    const own = tempFolder();
    const env = { XDG_CACHE_HOME: join(own, 'cache'), XDG_STATE_HOME: join(own, 'state') };
    const { code } = await killedAt(n, args(folder), env);
    const is = sha256(readFileSync(join(folder, 'pv-grub-x86_64.gz')));
    expect([sha256(before), wanted]).toContain(is);
    seen.add(is);
    expect((await pvgrub(args(folder), { env })).code).toBe(0);
    expect(sha256(readFileSync(join(folder, 'pv-grub-x86_64.gz')))).toBe(wanted);
    expect(await verifyFile(join(folder, 'pv-grub-x86_64.gz'), key.public)).toMatchObject({ sha256: wanted });
    return code === null;
  });
  expect(seen.size).toBe(2);
  expect(steps).toBeGreaterThan(10);
}, 300_000);

test('killed at any step of rolling back, the next one finishes it: image, previous one and both signatures, each with its own', async () => {
  const base = tempFolder();
  const at = (folder: string, end = '') => join(folder, `pv-grub-x86_64.gz${end}`);
  const texts = { '': 'new', '.minisig': 'signature of new', '.previous': 'old', '.previous.minisig': 'signature of old' };
  for (const [end, text] of Object.entries(texts)) writeFileSync(at(base, end), text);
  const there = (folder: string) => Object.keys(texts).map((end) => readFileSync(at(folder, end), 'utf8'));
  const [before, after] = [there(base), ['old', 'signature of old', 'new', 'signature of new']];
  const steps = await everyStep(async (n) => {
    const folder = tempFolder();
    cpSync(base, folder, { recursive: true });
    const { code } = await killedAt(n, ['pull', '--roll-back', '--to', folder]);
    expect(['new', 'old']).toContain(readFileSync(at(folder), 'utf8'));
    // Nothing tells a roll-back that was killed when all was done from one that has ended.
    const halfway = readdirSync(folder).some((name) => name.endsWith('.swap')) || !existsSync(at(folder, '.previous'));
    if (code === null && (halfway || readFileSync(at(folder), 'utf8') === 'new')) await rollBack(folder, []);
    expect(there(folder)).toEqual(after);
    await rollBack(folder, []);
    expect(there(folder)).toEqual(before);
    expect(readdirSync(folder).filter((name) => name.endsWith('.swap'))).toEqual([]);
    return code === null;
  });
  expect(steps).toBeGreaterThan(6);
}, 120_000);
