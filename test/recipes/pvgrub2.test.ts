import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pvgrub2Recipe } from '../../src/recipes/pvgrub2.ts';
import type { Arch } from '../../src/recipes/types.ts';
import { realPlanData } from '../support/plan-data.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const data = realPlanData();
const recipe = (version: string, arch: string = 'x86_64') => pvgrub2Recipe(version, arch, data);
const phase = (name: string, arch: Arch = 'x86_64') => recipe('2.14', arch).steps.find((step) => step.phase === name)?.run ?? '';

/** Run the image step in a tree with these modules and a grub-mkimage that writes down its arguments. */
function runImageStep(arch: Arch, modules: string[]): { args: string[]; listing: string; memdisk: Buffer } {
  const folder = tempFolder();
  for (const name of ['src', 'in', 'out', 'build/grub-core']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'in/grub.cfg'), recipe('2.14', arch).files['grub.cfg'] ?? '');
  for (const name of modules) writeFileSync(join(folder, 'build/grub-core', `${name}.mod`), '');
  const mkimage = join(folder, 'build/grub-mkimage');
  writeFileSync(mkimage, '#!/bin/sh\nprintf "%s\\n" "$@" > ../args\n');
  chmodSync(mkimage, 0o755);
  execFileSync('sh', ['-euc', phase('image', arch)], { cwd: join(folder, 'src'), env: { PATH: process.env['PATH'], LC_ALL: 'C' } });
  const tar = join(folder, 'memdisk.tar');
  return {
    args: readFileSync(join(folder, 'args'), 'utf8').trimEnd().split('\n'),
    listing: execFileSync('tar', ['-tvf', tar, '--numeric-owner', '--utc'], { encoding: 'utf8' }),
    memdisk: readFileSync(tar),
  };
}

describe('the platform of a pvgrub2 cell', () => {
  test.each([
    ['x86_64', 'x86_64', 'xen', 'grub-x86_64-xen.bin'],
    ['x86_32', 'i386', 'xen', 'grub-i386-xen.bin'],
    ['x86_32_pvh', 'i386', 'xen_pvh', 'grub-i386-xen_pvh.bin'],
  ] as const)('%s is configured for, linked for and named after %s-%s', (arch, target, platform, image) => {
    expect(phase('configure', arch)).toContain(` --with-platform=${platform} --target=${target} `);
    const { args } = runImageStep(arch, ['linux']);
    expect(args.slice(0, 2)).toEqual(['-O', `${target}-${platform}`]);
    expect(args[args.indexOf('-o') + 1]).toBe(`../out/${image}`);
    expect(recipe('2.14', arch).outputs).toEqual([{ file: image, role: 'image' }]);
  });

  test('another arch is refused with those there are', async () => {
    expect(await thrownBy(() => recipe('2.14', 'arm64'))).toMatchObject({ code: 'OPTION_INVALID', expected: 'x86_64, x86_32, x86_32_pvh' });
  });
});

describe('the image step', () => {
  test('links every module except those that only test GRUB or need a screen', () => {
    const wanted = ['btrfs', 'hello_world', 'legacycfg', 'linux', 'test', 'videoinfo', 'xzio'];
    const left = [
      'cmdline_cat_test',
      'exfctest',
      'functional_test',
      'gfxterm_menu',
      'hello',
      'setjmp_test',
      'test_blockarg',
      'testspeed',
      'videotest',
      'videotest_checksum',
    ];
    const { args } = runImageStep('x86_64', [...left, ...wanted].toSorted().reverse());
    expect(args.slice(args.indexOf('-o') + 2)).toEqual(wanted);
  });

  test('packs the first configuration where the prefix looks for it, with no name and no time of the build', () => {
    const { args, listing } = runImageStep('x86_64', ['linux']);
    expect(args[args.indexOf('-p') + 1]).toBe('(memdisk)/boot/grub');
    expect(listing.trim().split('\n')).toHaveLength(1);
    expect(listing).toMatch(/^-rw-r--r-- 0\/0 +\d+ 1970-01-01 00:00 boot\/grub\/grub\.cfg$/m);
  });

  test('packs the same bytes each time', () => {
    expect(runImageStep('x86_64', ['a']).memdisk).toEqual(runImageStep('x86_64', ['b']).memdisk);
  });
});

describe('what a pvgrub2 cell is made of', () => {
  test('is one source, unpacked as the tree', () => {
    const { sources, placements } = recipe('2.14');
    expect(sources.map((source) => source.file)).toEqual(['grub-2.14.tar.xz']);
    expect(placements).toEqual([{ source: 'grub2', unpack: '.' }]);
  });

  test('all steps are well-formed shell', () => {
    for (const { run } of recipe('2.12', 'x86_32_pvh').steps)
      expect(() => execFileSync('sh', ['-n'], { input: run, stdio: ['pipe', 'pipe', 'pipe'] })).not.toThrow();
  });

  test('no clock and no locale of the machine get in', () => {
    expect(recipe('2.14').env).toMatchObject({ LC_ALL: 'C', TZ: 'UTC', SOURCE_DATE_EPOCH: '0' });
  });

  test('the first configuration also finds a legacy menu.lst', () => {
    const config = recipe('2.14').files['grub.cfg'] ?? '';
    expect(config).toContain('menu.lst');
    expect(config).toContain('legacy_configfile');
  });

  test('2.12 says that security fixes are missing, and does not claim zstd kernels; 2.14 has both', () => {
    expect(recipe('2.12').warnings.join()).toContain('security');
    expect(recipe('2.14').warnings).toEqual([]);
    expect(recipe('2.12').reads.kernelCompressions).not.toContain('zstd');
    expect(recipe('2.14').reads.kernelCompressions).toContain('zstd');
  });

  test('a release that the catalog does not have is an error', async () => {
    expect(await thrownBy(() => recipe('2.13'))).toMatchObject({
      code: 'VERSION_UNKNOWN',
      expected: 'one of 2 versions from 2.12 to 2.14',
    });
  });
});
