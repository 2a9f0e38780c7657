import { externalSources, miniOsSource, readsOf, xenSource } from '../catalog/resolve.ts';
import type { SourceRef } from '../catalog/types.ts';
import { inRange, type VersionRange } from '../catalog/version.ts';
import { UsageError } from '../errors.ts';
import type { PlanData } from '../plan/plan.ts';
import { selectEdits } from './edits.ts';
import type { Arch, Placement, Recipe, Step, Toolchain } from './types.ts';

/**
 * PV-GRUB, from Xen's stubdom: GRUB 0.97 on Mini-OS. What each release needs was measured (docs/pv-grub.md).
 * Ranges are of Xen releases, both ends included.
 */

/** A value for some releases and widths only. */
type For<T> = VersionRange & { arch?: Arch; value: T };

function fitting<T>(list: readonly For<T>[], version: string, arch: Arch): T[] {
  return list.filter((entry) => inRange(version, entry) && (entry.arch === undefined || entry.arch === arch)).map((entry) => entry.value);
}

/** Flags for every object of the stub domain, through EMBEDDED_EXTRA_CFLAGS. */
const CFLAGS: For<string>[] = [
  // No temporary files between compiler and assembler.
  { value: '-pipe' },
  { value: '-fno-pie' },
  { value: '-fno-stack-protector' },
  { value: '-fno-exceptions' },
  // Before 4.5 Mini-OS starts threads on a stack that is 8 bytes off; compilers store to it with aligned SSE moves.
  { value: '-mincoming-stack-boundary=3', arch: 'x86_64' },
  // The build demands -Werror after our flags, so that each newer warning has to be named.
  { value: '-Wno-error=address' },
  { value: '-Wno-error=alloc-size-larger-than=' },
  { value: '-Wno-error=maybe-uninitialized' },
  { value: '-Wno-error=sizeof-pointer-memaccess' },
  { value: '-Wno-error=stringop-truncation' },
  { value: '-Wno-error=unused-but-set-variable' },
  { value: '-Wno-error=unused-const-variable=' },
  { value: '-Wno-error=vla-parameter' },
];

/** Variables of every make call; shell text, within double quotes. */
const MAKE_VARIABLES: For<string>[] = [
  { value: 'PYTHON=python3' },
  // newlib's makefiles want its manual made; nobody reads it.
  { value: 'MAKEINFO=:' },
  // Asked for while the Makefile is read, before configure could set it.
  { value: 'WGET=/bin/false', to: '4.2.5' },
  // Any folder other than "." keeps make from cloning a qemu repository.
  { value: 'CONFIG_QEMU=/cell/src/tools', to: '4.3.4' },
  // A variable with a dash in its name is lost in the environment between makes.
  { value: 'MINI-OS_ROOT=/cell/src/extras/mini-os', from: '4.6.0', to: '4.6.1' },
  // 64-bit division on 32 bits.
  { value: 'EXTRA_OBJS=$(gcc -m32 -print-libgcc-file-name)', arch: 'x86_32', to: '4.9.4' },
];

const STEPS: For<Step>[] = [
  { to: '4.0.4', value: { phase: 'configure', run: 'mkdir -p tools/ioemu-dir stubdom/ioemu && touch stubdom/ioemu/linkfarm.stamp' } },
  { from: '4.5.0', value: { phase: 'configure', run: './configure --disable-xen --disable-tools --disable-docs --disable-stubdom' } },
  { from: '4.3.0', value: { phase: 'configure', run: 'cd stubdom && ./configure --enable-pv-grub --disable-ioemu-stubdom' } },
  // stubdom links to headers that only this makes.
  { value: { phase: 'headers', run: '{make} -C tools/include' } },
  { from: '4.10.0', to: '4.14.6', value: { phase: 'headers', run: '{make} -C tools/libs/toolcore include/_xentoolcore_list.h' } },
  { from: '4.15.0', to: '4.16.7', value: { phase: 'headers', run: '{make} -C tools/libs/ctrl _paths.h' } },
  { value: { phase: 'headers', run: '{make} -C stubdom mk-headers-{arch}' } },
  {
    value: {
      phase: 'newlib',
      run: '{make} -C stubdom newlib-{newlib} && perl ../in/trim.pl newlib stubdom/newlib-{newlib} ../in/newlib-members.txt',
      toolchain: true,
    },
  },
  { value: { phase: 'newlib', run: '{make} -j"$JOBS" -C stubdom cross-newlib', toolchain: true } },
  { value: { phase: 'libraries', run: '{make} -j"$JOBS" -C stubdom cross-zlib', toolchain: true } },
  {
    from: '4.3.0',
    value: {
      phase: 'libraries',
      run: '{make} -C stubdom polarssl-{arch} && perl ../in/trim.pl polarssl stubdom/polarssl-{arch} && {make} -C stubdom cross-polarssl',
      toolchain: true,
    },
  },
  // Up to 4.1 the Makefile goes on after a patch that does not apply.
  { to: '4.1.6.1', value: { phase: 'grub', run: '{make} -C stubdom grub-upstream' } },
  {
    value: {
      phase: 'grub',
      run: "if find stubdom -name '*.rej' | grep .; then echo 'a patch did not apply' >&2; exit 1; fi",
    },
  },
  // The rest side by side: pciutils (not of the toolchain: it reads Xen's own headers, which hardly two releases have
  // in common), GRUB, libxc, Mini-OS.
  { value: { phase: 'link', run: '{make} -j"$JOBS" -C stubdom pv-grub' } },
  { to: '4.13.5', value: { phase: 'image', run: 'objcopy --only-keep-debug stubdom/mini-os-{arch}-grub/mini-os ../out/{image}.debug' } },
  {
    from: '4.14.0',
    value: { phase: 'image', run: 'objcopy --only-keep-debug stubdom/mini-os-{arch}-grub/mini-os-debug ../out/{image}.debug' },
  },
  { value: { phase: 'image', run: 'objcopy --strip-debug stubdom/mini-os-{arch}-grub/mini-os ../out/{image} && gzip -n9 ../out/{image}' } },
];

/** What the toolchain's steps leave, and may read (see {@link Toolchain}). `fill` fills in the place holders. */
function toolchain(sources: readonly SourceRef[], arch: Arch, fill: (text: string) => string): Toolchain {
  const polarssl = sources.some(({ name }) => name === 'polarssl');
  return {
    commands: fill(
      `{make} -n SHELL=/cell/in/print-command.sh -C stubdom newlib-{newlib} cross-newlib cross-zlib${polarssl ? ' cross-polarssl' : ''}`,
    ),
    sources: ['newlib', 'zlib', 'lwip', 'polarssl'].filter((name) => sources.some((source) => source.name === name)),
    keep: [`cross-root-${arch === 'x86_32' ? 'i686' : arch}`, ...(polarssl ? [`polarssl-${arch}`, `lwip-${arch}`] : [])].map(
      (name) => `stubdom/${name}`,
    ),
    stubs: [fill('newlib-{newlib}'), `newlib-${arch}`, `zlib-${arch}`].map((name) => `stubdom/${name}`),
    headers: ['extras/mini-os/include', 'stubdom/include', 'xen/include', 'tools'],
    files: 'stubdom',
  };
}

/**
 * Four fifths of newlib: other systems and processors, character sets, manuals, tests. Nothing looks for them; what a
 * patch changes or a configure script wants to see stays.
 */
const NOT_OF_NEWLIB = [
  'libgloss/[!i]*',
  'texinfo',
  'newlib/iconvdata',
  'newlib/libc/iconv/*.[ch]',
  'newlib/libc/machine/[!ix]*/*.[chS]',
  'newlib/libc/sys/*.[chsS]',
  'newlib/libm/machine/[!i]*/*.[chS]',
  'newlib/libm/mathfp/*.[ch]',
  'newlib/libm/test',
];

/** Of Xen: the hypervisor's own code, and tools that no stub domain has anything of. */
const NOT_OF_XEN: readonly For<string>[] = [
  { value: 'docs' },
  ...['blktap', 'blktap2', 'debugger', 'hotplug', 'libfsimage', 'libxl', 'ocaml', 'pygrub', 'python', 'tests', 'xentrace'].map((name) => ({
    value: `tools/${name}`,
  })),
  { value: 'unmodified_drivers' },
  { to: '4.21.2', value: 'xen/arch/*.[cS]' },
  // From 4.22 on tools/libs/guest compiles xen/arch/x86/lib/cpu-policy.
  ...['xen/arch/[!x]*.[cS]', 'xen/arch/x86/[!l]*.[cS]'].map((value) => ({ from: '4.22.0', value })),
  { value: 'xen/drivers' },
];

/** Where the sources go: Xen as the tree, Mini-OS inside it, the packages as tarballs under the Makefile's names. */
function placements(sources: readonly SourceRef[], version: string, arch: Arch): Placement[] {
  return sources.map(({ name, file }) => {
    if (name === 'xen') return { source: name, unpack: '.', without: fitting(NOT_OF_XEN, version, arch) };
    if (name === 'mini-os') return { source: name, unpack: 'extras/mini-os' };
    return { source: name, as: `stubdom/${file}`, ...(name === 'newlib' ? { without: NOT_OF_NEWLIB } : {}) };
  });
}

/**
 * The recipe of a pv-grub cell.
 * @param version a Xen release of the catalog
 * @throws UsageError VERSION_UNKNOWN, or OPTION_INVALID for a width that pv-grub does not have
 */
export function pvGrubRecipe(version: string, arch: string, data: Pick<PlanData, 'catalog' | 'edits' | 'pvGrub'>): Recipe {
  if (arch !== 'x86_64' && arch !== 'x86_32')
    throw new UsageError('OPTION_INVALID', `pv-grub has no arch ${arch}`, { expected: 'x86_64 or x86_32' });
  const miniOs = miniOsSource(data.catalog, version);
  const sources = [xenSource(data.catalog, version), ...(miniOs ? [miniOs] : []), ...externalSources(data.catalog, version)];
  const variables = [`EMBEDDED_EXTRA_CFLAGS=${fitting(CFLAGS, version, arch).join(' ')}`, ...fitting(MAKE_VARIABLES, version, arch)];
  const make = `make ${variables.map((variable) => `"${variable}"`).join(' ')}`;
  const image = `pv-grub-${arch}`;
  const newlib = sources.find(({ name }) => name === 'newlib')?.version ?? '';
  const fill = (text: string) =>
    text.replaceAll('{make}', make).replaceAll('{arch}', arch).replaceAll('{image}', image).replaceAll('{newlib}', newlib);
  const steps = fitting(STEPS, version, arch).map((step) => ({ ...step, run: fill(step.run) }));
  return {
    sources,
    placements: placements(sources, version, arch),
    edits: selectEdits(data.edits['pv-grub'], version, arch),
    // configure wants a downloader to be there; nothing may call it.
    env: { LC_ALL: 'C', TZ: 'UTC', XEN_TARGET_ARCH: arch, WGET: '/bin/false' },
    files: { 'trim.pl': data.pvGrub.trim, 'newlib-members.txt': data.pvGrub.members },
    steps,
    toolchain: toolchain(sources, arch, fill),
    outputs: [
      { file: `${image}.gz`, role: 'image' },
      { file: `${image}.debug`, role: 'debug' },
    ],
    reads: readsOf(data.catalog, version),
    warnings: [],
  };
}
