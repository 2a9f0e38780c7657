import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { pvgrub, root } from '../support/cli.ts';

/** A public key of nobody. */
const KEY = 'RWREjMbk+NcWFljHBKmVxdRmN4sFtepCIue7G7SYUVCx1zcUbu9ETeo0';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pvgrub-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('bad input ends with exit code 2, an error that says what to try, and nothing done', () => {
  test.each([
    [['build', 'pv-grub-4.1.99-x86_64'], 'VERSION_UNKNOWN', '4.1.4'],
    [['build', 'pvgrub2-9.9'], 'VERSION_UNKNOWN', '2.14'],
    [['build', 'pv-grub-4.99.latest'], 'SELECTOR_NO_MATCH', 'pvgrub matrix'],
    [['build', 'nothing-*'], 'SELECTOR_NO_MATCH', 'pvgrub matrix'],
    [['build', 'pv-grub-[4'], 'SELECTOR_INVALID', 'glob'],
    [['build', '--jobs', '0'], 'OPTION_INVALID', 'whole number'],
    [['build', '--progress', 'loud', 'pvgrub2-2.14-x86_64'], 'OPTION_INVALID', 'plain'],
    [['build', '--origin', 'xen'], 'OPTION_INVALID', '--origin xen=git:'],
    [['build', '--trust', 'grubb', 'pvgrub2-2.14-x86_64'], 'OPTION_INVALID', 'grub2'],
    [['build', '--origin', 'xn=dir:.', 'pvgrub2-2.14-x86_64'], 'OPTION_INVALID', 'mini-os'],
    [['inspect', 'no-such-file'], 'FILE_UNREADABLE', 'no-such-file'],
    [['boot', './no-such-file'], 'FILE_UNREADABLE', 'name an image, or a selector'],
    [['boot', 'pvgrub2-2.14-x86_64', '--repeat', '0'], 'OPTION_INVALID', '1 to 500'],
    [['pull', '4.17', '--from', 'ftp://x'], 'KEY_MISSING', '--key'],
    [['pull', '4.17'], 'OPTION_INVALID', 'URL of a publication'],
    [['pull', '4.17', '--from', 'no-such-folder', '--key', KEY], 'FILE_UNREADABLE', 'oci://registry/repository'],
    [['pull', '4.17', '--from', 'oci://X', '--key', KEY], 'OPTION_INVALID', 'oci://registry.example.org/pv-grub'],
    [['pull', '--roll-back', '--to', '.'], 'FILE_UNREADABLE', 'no previous'],
    [['verify', 'no-such-file', '--key', KEY], 'FILE_UNREADABLE', 'no-such-file'],
    [['verify', '.', '--key', 'no-such-key'], 'FILE_UNREADABLE', 'no-such-key'],
    [['publish', 'site', '--from', '.'], 'KEY_MISSING', 'pvgrub key generate'],
    [['merge', 'no-such-folder', '--out', 'all'], 'FILE_UNREADABLE', 'no-such-folder'],
    [['matrix', '--config', 'no-such-config.json'], 'CONFIG_UNREADABLE', 'no-such-config.json'],
  ])('%j', async (args, code, hint) => {
    const called = await pvgrub(args, { cwd: folder });
    expect(called).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(`[${code}]`) });
    expect(called.stderr).toContain(hint);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('an unknown key of the configuration is named by its path', async () => {
    writeFileSync(
      join(folder, 'matrix.config.json'),
      JSON.stringify({ loaders: { 'pv-grub': { versions: ['4.17.5'], archs: [] } }, limits: { time: 'long' } }),
    );
    const called = await pvgrub(['matrix'], { cwd: folder });
    expect(called.code).toBe(2);
    expect(called.stderr).toMatch(/loaders\.pv-grub: .*archs/);
    expect(called.stderr).toMatch(/limits\.time: expected a time such as/);
  });

  test('a version of the configuration that is not in the catalog', async () => {
    writeFileSync(join(folder, 'matrix.config.yaml'), 'loaders:\n  pv-grub:\n    versions: ["4.17.99"]\n');
    const called = await pvgrub(['matrix'], { cwd: folder });
    expect(called).toMatchObject({ code: 2, stderr: expect.stringMatching(/4\.17\.99 is not in the catalog[\s\S]*4\.17\.5/) });
  });

  test('a release of the catalog that the configuration does not have', async () => {
    writeFileSync(join(folder, 'matrix.config.json'), JSON.stringify({ loaders: { 'pv-grub': { versions: ['4.17.5'] } } }));
    const called = await pvgrub(['build', 'pv-grub-4.0.3-x86_64'], { cwd: folder });
    expect(called).toMatchObject({ code: 2, stderr: expect.stringMatching(/SELECTOR_NO_MATCH[\s\S]*loaders\.pv-grub\.versions/) });
  });

  test('an unknown command or option', async () => {
    expect((await pvgrub(['bild'])).code).toBe(2);
    expect((await pvgrub(['build', '--fast'])).code).toBe(2);
    expect((await pvgrub([])).code).toBe(2);
  });
});

test('an engine that does not answer gives exit code 4, and nothing is installed or started', async () => {
  const called = await pvgrub(
    ['build', '--no-setup', '--engine', `unix://${folder}/none.sock`, '--out', join(folder, 'out'), 'pvgrub2-2.14-x86_64'],
    { cwd: folder },
  );
  expect(called).toMatchObject({ code: 4, stderr: expect.stringContaining('[ENGINE_NOT_FOUND]') });
  expect(existsSync(join(folder, 'out'))).toBe(false);
});

test('the launcher installs nothing with --no-setup, and says what is missing', async () => {
  cpSync(join(root, 'pvgrub'), join(folder, 'pvgrub'));
  const called = await pvgrub(['matrix', '--no-setup'], { program: [join(folder, 'pvgrub')], cwd: folder });
  expect(called).toMatchObject({ code: 2, stderr: expect.stringContaining('npm ci') });
  expect(readdirSync(folder)).toEqual(['pvgrub']);
});
