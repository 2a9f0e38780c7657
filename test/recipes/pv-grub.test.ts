import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { knownVersions } from '../../src/catalog/resolve.ts';
import { compareVersions } from '../../src/catalog/version.ts';
import { pvGrubRecipe } from '../../src/recipes/pv-grub.ts';
import type { Arch } from '../../src/recipes/types.ts';
import { realPlanData } from '../support/plan-data.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const data = realPlanData();
const versions = knownVersions(data.catalog, 'pv-grub');
const recipe = (version: string, arch: Arch = 'x86_64') => pvGrubRecipe(version, arch, data);
const commands = (version: string, arch: Arch = 'x86_64') => recipe(version, arch).steps.map((step) => step.run);

/** The arguments that `make` would be called with for a target, as a real shell splits them. */
function makeArguments(version: string, target: string, arch: Arch = 'x86_64'): string[] {
  const command = commands(version, arch).find((run) => run.startsWith('make ') && run.endsWith(` ${target}`)) ?? 'false';
  const stubs = `make() { printf '%s\\n' "$@"; }\ngcc() { echo /lib/libgcc.a; }\nJOBS=3\n`;
  return execFileSync('sh', ['-euc', stubs + command], { encoding: 'utf8' })
    .trimEnd()
    .split('\n');
}

/** The first and the last release for which something holds; throws where it does not hold throughout between them. */
function span(holds: (version: string) => boolean): [string | undefined, string | undefined] {
  const fitting = versions.filter(holds);
  const [first, last] = [fitting[0], fitting.at(-1)];
  expect(fitting).toEqual(versions.slice(versions.indexOf(first ?? ''), versions.indexOf(last ?? '') + 1));
  return [first, last];
}

describe('sources of pv-grub', () => {
  test('Xen is the tree, Mini-OS lies in it from 4.6 on, packages stand under the names that the Makefile looks for', () => {
    expect(recipe('4.17.5').placements.map(({ without, ...placement }) => placement)).toEqual([
      { source: 'xen', unpack: '.' },
      { source: 'mini-os', unpack: 'extras/mini-os' },
      { source: 'newlib', as: 'stubdom/newlib-1.16.0.tar.gz' },
      { source: 'zlib', as: 'stubdom/zlib-1.2.3.tar.gz' },
      { source: 'pciutils', as: 'stubdom/pciutils-2.2.9.tar.bz2' },
      { source: 'lwip', as: 'stubdom/lwip-1.3.0.tar.gz' },
      { source: 'grub', as: 'stubdom/grub-0.97.tar.gz' },
      { source: 'polarssl', as: 'stubdom/polarssl-1.1.4-gpl.tgz' },
    ]);
    expect(recipe('4.1.4').placements.map((placement) => placement.source)).toEqual(['xen', 'newlib', 'zlib', 'pciutils', 'grub']);
  });

  test('each has exactly one place', () => {
    for (const version of versions) {
      const { sources, placements } = recipe(version);
      expect(placements.map((placement) => placement.source)).toEqual(sources.map((source) => source.name));
    }
  });

  test('edits are those of the release', () => {
    const ids = (version: string, arch: Arch) => recipe(version, arch).edits.map((edit) => edit.id);
    expect(ids('4.1.4', 'x86_64').sort()).toEqual(['event-entry-fxsave', 'mkheader-python3']);
    expect(ids('4.20.4', 'x86_32').sort()).toEqual(['grub-ext4', 'kexec-no-vtpm', 'tools-config-h', 'tools-mk']);
    expect(ids('4.20.4', 'x86_64').sort()).toEqual([...ids('4.20.4', 'x86_32'), 'minios-event-entry-fxsave'].sort());
  });
});

describe('commands of pv-grub', () => {
  test('are well-formed shell for every release and width, with nothing left to fill in', () => {
    for (const version of versions) {
      for (const arch of ['x86_64', 'x86_32'] as const) {
        const script = commands(version, arch).join('\n');
        expect(script).not.toMatch(/\{(make|arch|image)\}/);
        expect(() => execFileSync('sh', ['-n'], { input: script, stdio: ['pipe', 'pipe', 'pipe'] })).not.toThrow();
      }
    }
  });

  test('make gets all compiler flags as one variable', () => {
    const [flags] = makeArguments('4.17.5', 'pv-grub');
    expect(flags).toMatch(/^EMBEDDED_EXTRA_CFLAGS=-pipe -fno-pie -fno-stack-protector .*-Wno-error=vla-parameter$/);
    const others = makeArguments('4.17.5', 'pv-grub').slice(1);
    expect(others.slice(-4)).toEqual(['-j3', '-C', 'stubdom', 'pv-grub']);
    for (const variable of others.slice(0, -4)) expect(variable).toMatch(/^[A-Z_-]+=/);
  });

  test('only the 64-bit build gets the flag that only its compiler knows', () => {
    expect(makeArguments('4.1.4', 'pv-grub', 'x86_64')[0]).toContain('-mincoming-stack-boundary=3');
    expect(makeArguments('4.1.4', 'pv-grub', 'x86_32')[0]).not.toContain('-mincoming-stack-boundary');
  });

  test('variables of single releases are given to these releases alone', () => {
    const gets = (start: string, arch: Arch = 'x86_64') =>
      span((version) => makeArguments(version, 'pv-grub', arch).some((argument) => argument.startsWith(start)));
    expect(gets('WGET=')).toEqual(['4.0.0', '4.2.5']);
    expect(gets('CONFIG_QEMU=')).toEqual(['4.0.0', '4.3.4']);
    expect(gets('MINI-OS_ROOT=')).toEqual(['4.6.0', '4.6.1']);
    expect(gets('EXTRA_OBJS=/lib/libgcc.a', 'x86_32')).toEqual(['4.0.0', '4.9.4']);
    expect(makeArguments('4.1.4', 'pv-grub').filter((argument) => argument.startsWith('EXTRA_OBJS'))).toEqual([]);
  });

  test('configure is run where a release has it', () => {
    expect(span((version) => commands(version).some((run) => run.startsWith('./configure')))).toEqual(['4.5.0', '4.22.0']);
    expect(span((version) => commands(version).some((run) => run.startsWith('cd stubdom && ./configure')))).toEqual(['4.3.0', '4.22.0']);
  });

  test('nothing is fetched: whatever asks for a downloader gets one that fails', () => {
    for (const version of versions) {
      expect(recipe(version).env['WGET']).toBe('/bin/false');
      expect(commands(version).join('\n').replaceAll('WGET=/bin/false', '')).not.toMatch(/\b(wget|curl|git|ftp)\b/);
    }
  });

  test('a patch that does not apply stops the build before it is linked', () => {
    const steps = commands('4.1.4');
    const check = steps.findIndex((run) => run.includes('.rej'));
    expect(check).toBeLessThan(steps.findIndex((run) => run.endsWith(' pv-grub')));
    expect(check).toBeGreaterThan(steps.findIndex((run) => run.endsWith(' grub-upstream')));
    for (const version of versions) expect(commands(version).some((run) => run.includes('.rej'))).toBe(true);
    // Later Makefiles stop by themselves: there GRUB is unpacked beside the rest.
    expect(span((version) => commands(version).some((run) => run.endsWith(' grub-upstream')))).toEqual(['4.0.0', '4.1.6.1']);
    const folder = tempFolder();
    const run = () => execFileSync('sh', ['-euc', steps[check] ?? ''], { cwd: folder, stdio: 'pipe' });
    mkdirSync(join(folder, 'stubdom/grub'), { recursive: true });
    expect(run).not.toThrow();
    writeFileSync(join(folder, 'stubdom/grub/main.c.rej'), '');
    expect(run).toThrow('a patch did not apply');
  });

  test('the image is stripped and packed without name and time, its debug information kept before', () => {
    for (const [version, name] of [
      ['4.13.5', 'mini-os'],
      ['4.14.6', 'mini-os-debug'],
    ] as const) {
      const [debug, image] = commands(version, 'x86_32').slice(-2);
      expect(debug).toBe(`objcopy --only-keep-debug stubdom/mini-os-x86_32-grub/${name} ../out/pv-grub-x86_32.debug`);
      expect(image).toMatch(/^objcopy --strip-debug .*\/mini-os \.\.\/out\/pv-grub-x86_32 && gzip -n9 \.\.\/out\/pv-grub-x86_32$/);
    }
  });
});

describe('what a pv-grub cell promises', () => {
  test('outputs bear the names that hosts look for', () => {
    expect(recipe('4.17.5', 'x86_32').outputs).toEqual([
      { file: 'pv-grub-x86_32.gz', role: 'image' },
      { file: 'pv-grub-x86_32.debug', role: 'debug' },
    ]);
    expect(recipe('4.17.5', 'x86_32').env['XEN_TARGET_ARCH']).toBe('x86_32');
  });

  test('a later release reads all that an earlier one reads', () => {
    for (let i = 1; i < versions.length; i++) {
      const [before, after] = [recipe(versions[i - 1] as string).reads, recipe(versions[i] as string).reads];
      expect(after.kernelCompressions).toEqual(expect.arrayContaining(before.kernelCompressions));
      expect(after.fileSystems).toEqual(expect.arrayContaining(before.fileSystems));
    }
    expect(recipe('4.1.4').reads.kernelCompressions).toEqual(['none', 'gzip']);
    expect(recipe('4.20.4').reads.kernelCompressions).toContain('zstd');
  });

  test('what newer hosts and compilers broke is mended in every release that has it, by width', () => {
    const mended = (arch: Arch, ...ids: string[]) =>
      versions.filter((version) => recipe(version, arch).edits.some((edit) => ids.includes(edit.id)));
    const upTo = (last: string) => versions.filter((version) => compareVersions(version, last) <= 0);
    expect(mended('x86_32', 'l1-frames', 'minios-l1-frames')).toEqual(upTo('4.6.6'));
    expect(mended('x86_64', 'l1-frames', 'minios-l1-frames')).toEqual([]);
    expect(mended('x86_64', 'event-entry-fxsave', 'minios-event-entry-fxsave')).toEqual(upTo('4.20.4'));
    expect(mended('x86_32', 'event-entry-fxsave', 'minios-event-entry-fxsave')).toEqual([]);
  });

  test('there is no PVH image, and no release that the catalog does not have', async () => {
    expect(await thrownBy(() => recipe('4.17.5', 'x86_32_pvh'))).toMatchObject({ code: 'OPTION_INVALID', expected: 'x86_64 or x86_32' });
    expect(await thrownBy(() => recipe('4.6.2'))).toMatchObject({ code: 'VERSION_UNKNOWN' });
  });
});
