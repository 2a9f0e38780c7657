import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { encryptedPem, newKey, publicKeyLine, type SigningKey } from '../../src/publish/key.ts';
import { pvgrub } from '../support/cli.ts';
import { lastingFolder } from '../support/lasting-folder.ts';
import { indexOf, makeArtifacts } from '../support/published.ts';
import { tempFolder } from '../support/temp-folder.ts';

const [first, second] = [newKey(), newKey()];
const [byFirst, bySecond] = [lastingFolder(), lastingFolder()];
const line = ({ public: key }: SigningKey) => publicKeyLine(key);

beforeAll(async () => {
  for (const [folder, key] of [
    [byFirst, first],
    [bySecond, second],
  ] as const)
    for (const id of ['pv-grub-4.17.5-x86_64', 'pv-grub-4.17.5-x86_32']) await makeArtifacts(folder, id, key, { size: 40_000 });
});

const publish = (folder: string, key: SigningKey, args: string[]) =>
  pvgrub(['publish', folder, ...args], { env: { PVGRUB_KEY: encryptedPem(key, 'x'), PVGRUB_KEY_PASSPHRASE: 'x' } });

/** A reader who trusts the first key, and remembers. */
function reader() {
  const own = tempFolder();
  const env = { XDG_STATE_HOME: join(own, 'state'), XDG_CACHE_HOME: join(own, 'cache') };
  return (folder: string, key = first) => {
    mkdirSync(join(own, 'out'), { recursive: true });
    return pvgrub(['pull', '4.17-x86_64', '--from', folder, '--key', line(key), '--out', join(own, 'out')], { env });
  };
}

describe('keys change', () => {
  test('the next one is announced, then signs, and the one before is revoked: readers follow, and no old key is believed again', async () => {
    const folder = tempFolder();
    const pull = reader();
    expect(await publish(folder, first, ['--from', byFirst])).toMatchObject({ code: 0 });
    const stolen = tempFolder();
    cpSync(folder, stolen, { recursive: true });
    expect(await publish(folder, first, ['--next-key', line(second)])).toMatchObject({ code: 0 });
    expect(await pull(folder)).toMatchObject({ code: 0 });
    // The new key must say after whom it comes, and publish all images anew.
    expect(await publish(folder, second, ['--from', bySecond])).toMatchObject({ code: 6, stderr: expect.stringContaining('--key-before') });
    expect(await publish(folder, second, ['pv-grub-4.17.5-x86_64', '--from', bySecond, '--key-before', line(first)])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('pv-grub-4.17.5-x86_32'),
    });
    const all = ['--from', bySecond, '--key-before', line(first)];
    expect(await publish(folder, second, all)).toMatchObject({ code: 0 });
    expect(indexOf(folder).key).toBe(line(second));
    expect(await pull(folder)).toMatchObject({ code: 0 });
    expect(await pvgrub(['verify', folder, '--key', line(second)])).toMatchObject({ code: 0 });
    // Whoever has the first key can no longer speak to readers who have followed.
    expect(await publish(stolen, first, ['--renew'])).toMatchObject({ code: 0 });
    expect(await pull(stolen)).toMatchObject({ code: 6 });
    expect(await publish(folder, second, ['--revoke', first.public.id, '--why', 'it was stolen'])).toMatchObject({ code: 0 });
    expect(await pull(folder)).toMatchObject({ code: 6, stderr: expect.stringMatching(/KEY_REVOKED.*it was stolen/s) });
    expect(await pull(folder, second)).toMatchObject({ code: 0 });
    expect(await publish(folder, first, ['--renew'])).toMatchObject({ code: 6 });
  }, 60_000);

  test('a key cannot revoke itself, and one that was followed cannot come back', async () => {
    const folder = tempFolder();
    await publish(folder, first, ['--from', byFirst, '--next-key', line(second)]);
    expect(await publish(folder, first, ['--revoke', first.public.id])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--next-key'),
    });
    expect(await reader()(folder)).toMatchObject({ code: 0 });
    const all = ['--from', bySecond, '--key-before', line(first)];
    expect(await publish(folder, second, all)).toMatchObject({ code: 0 });
    expect(await publish(folder, first, ['--from', byFirst])).toMatchObject({ code: 2, stderr: expect.stringContaining('has taken over') });
    // What stands in a job for good does no harm.
    expect(await publish(folder, second, ['--revoke', first.public.id])).toMatchObject({ code: 0 });
    expect(await publish(folder, second, all)).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing has changed') });
    const out = join(tempFolder(), 'out');
    const merged = await pvgrub(['merge', folder, '--out', out], {
      env: { PVGRUB_KEY: encryptedPem(first, 'x'), PVGRUB_KEY_PASSPHRASE: 'x' },
    });
    expect([2, 6]).toContain(merged.code);
  }, 60_000);

  test('a key that nobody has announced takes over nothing', async () => {
    const folder = tempFolder();
    await publish(folder, first, ['--from', byFirst]);
    const called = await publish(folder, second, ['--from', bySecond, '--key-before', line(first)]);
    expect(called).toMatchObject({ code: 6, stderr: expect.stringContaining('SIGNATURE_INVALID') });
    expect(indexOf(folder).key).toBe(line(first));
  });
});

describe('merge joins publications by one key', () => {
  const part = async (id: string, more: string[] = []) => {
    const folder = tempFolder();
    expect(await publish(folder, first, [id, '--from', byFirst, ...more])).toMatchObject({ code: 0 });
    return folder;
  };
  const merge = (args: string[], key = first) =>
    pvgrub(['merge', ...args], { env: { PVGRUB_KEY: encryptedPem(key, 'x'), PVGRUB_KEY_PASSPHRASE: 'x' } });

  test('into one that verifies, again with nothing changed', async () => {
    const out = join(tempFolder(), 'out');
    const parts = [await part('pv-grub-4.17.5-x86_64'), await part('pv-grub-4.17.5-x86_32', ['--revoke', second.public.id])];
    expect(await merge([...parts, '--out', out])).toMatchObject({ code: 0, stdout: expect.stringContaining('2 cells merged') });
    const index = indexOf(out);
    expect(index.images).toHaveLength(2);
    expect(index.revoked.map(({ key }) => key)).toEqual([second.public.id]);
    expect(await pvgrub(['verify', out, '--key', line(first)])).toMatchObject({ code: 0, stdout: expect.stringContaining(': 2 images') });
    expect(await merge([...parts, '--out', out])).toMatchObject({ code: 0, stdout: expect.stringContaining('0 cells merged') });
    expect(indexOf(out)).toEqual(index);
    // A good part mends the whole.
    const { path, image } = index.images[0] as (typeof index.images)[0];
    writeFileSync(join(out, path, image.name), 'damaged');
    expect(await merge([...parts, '--out', out])).toMatchObject({ code: 0 });
    expect(await pvgrub(['verify', out, '--key', line(first)])).toMatchObject({ code: 0 });
  });

  test('but not where two have different images of one cell, other names or other keys', async () => {
    const other = tempFolder();
    const differing = tempFolder();
    const { image } = await makeArtifacts(other, 'pv-grub-4.17.5-x86_64', first, { size: 50_000, unpinned: true });
    await publish(differing, first, ['--from', other, '--allow-unproven']);
    const one = await part('pv-grub-4.17.5-x86_64');
    const out = join(tempFolder(), 'out');
    const conflict = await merge([one, differing, '--out', out]);
    expect(conflict).toMatchObject({ code: 5, stderr: expect.stringContaining('OUTPUT_DIFFERS') });
    for (const words of [one, differing, image.sha256, indexOf(one).images[0]?.image.sha256 as string])
      expect(conflict.stderr).toContain(words);
    expect(await merge([one, await part('pv-grub-4.17.5-x86_32', ['--name', 'other']), '--out', out])).toMatchObject({ code: 2 });
    expect(await merge([one, '--out', out], second)).toMatchObject({ code: 6 });
    const partial = await part('pv-grub-4.17.5-x86_64');
    rmSync(join(partial, indexOf(partial).images[0]?.path ?? '', 'build.log'));
    expect(await merge([partial, '--out', out])).toMatchObject({ code: 5, stderr: expect.stringContaining('build.log is not there') });
    expect(await merge([one, byFirst, '--out', out])).toMatchObject({ code: 2, stderr: expect.stringContaining('is a publication') });
  });
});
