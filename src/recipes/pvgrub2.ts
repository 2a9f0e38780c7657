import { grub2Source } from '../catalog/resolve.ts';
import { compareVersions } from '../catalog/version.ts';
import { UsageError } from '../errors.ts';
import type { PlanData } from '../plan/plan.ts';
import { selectEdits } from './edits.ts';
import type { Arch, Recipe, Step } from './types.ts';

/** GRUB 2's Xen port: one image with all modules and a first configuration (loaders/pvgrub2/grub.cfg) inside. */

const TARGETS: Record<Arch, { target: string; platform: string; image: string }> = {
  x86_64: { target: 'x86_64', platform: 'xen', image: 'grub-x86_64-xen.bin' },
  x86_32: { target: 'i386', platform: 'xen', image: 'grub-i386-xen.bin' },
  x86_32_pvh: { target: 'i386', platform: 'xen_pvh', image: 'grub-i386-xen_pvh.bin' },
};

/** Modules that only test GRUB itself, or need a screen. */
const LEFT_OUT = '^(.*_test|functional_test|exfctest|test_blockarg|testspeed|hello|gfxterm_menu|videotest|videotest_checksum)$';

const CONFIGURE = [
  '--disable-werror',
  '--disable-nls',
  '--disable-grub-mkfont',
  '--disable-grub-mount',
  '--disable-device-mapper',
  '--disable-libzfs',
  '--disable-liblzma',
  '--disable-dependency-tracking',
  // genmoddep.awk calls asorti, which mawk does not have.
  'AWK=gawk',
];

function steps({ target, platform, image }: (typeof TARGETS)[Arch]): Step[] {
  return [
    {
      phase: 'configure',
      run: `mkdir ../build && cd ../build && ../src/configure --with-platform=${platform} --target=${target} ${CONFIGURE.join(' ')}`,
    },
    { phase: 'gnulib', run: 'make -j"$JOBS" -C ../build/grub-core/lib/gnulib' },
    // Only the target `all` makes generated headers first; without them the order of jobs decides whether it compiles.
    {
      phase: 'grub-mkimage',
      run: 'make -C ../build config-util.h grub_script.tab.h grub_script.yy.h && make -j"$JOBS" -C ../build grub-mkimage',
    },
    { phase: 'modules', run: 'make -j"$JOBS" -C ../build/grub-core' },
    {
      phase: 'image',
      run: [
        'mkdir -p ../memdisk/boot/grub',
        'cp ../in/grub.cfg ../memdisk/boot/grub/',
        'tar -cf ../memdisk.tar --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@0 -C ../memdisk boot/grub/grub.cfg',
        `modules=$(cd ../build/grub-core && ls *.mod | sed 's/[.]mod$//' | grep -Ev '${LEFT_OUT}' | sort)`,
        `../build/grub-mkimage -O ${target}-${platform} -d ../build/grub-core -p '(memdisk)/boot/grub' -m ../memdisk.tar -o ../out/${image} $modules`,
      ].join('\n'),
    },
  ];
}

/**
 * The recipe of a pvgrub2 cell.
 * @param version a GRUB release of the catalog
 * @throws UsageError VERSION_UNKNOWN
 */
export function pvgrub2Recipe(version: string, arch: string, data: PlanData): Recipe {
  const target = TARGETS[arch as Arch];
  if (!target) throw new UsageError('OPTION_INVALID', `pvgrub2 has no arch ${arch}`, { expected: Object.keys(TARGETS).join(', ') });
  const { source, warnings } = grub2Source(data.catalog, version);
  return {
    sources: [source],
    placements: [{ source: 'grub2', unpack: '.' }],
    edits: selectEdits(data.edits.pvgrub2, version, arch as Arch),
    env: { LC_ALL: 'C', TZ: 'UTC', SOURCE_DATE_EPOCH: '0' },
    files: { 'grub.cfg': data.pvgrub2Config },
    steps: steps(target),
    outputs: [{ file: target.image, role: 'image' }],
    reads: {
      kernelCompressions: ['none', 'gzip', 'xz', 'lzo', ...(compareVersions(version, '2.14') >= 0 ? ['zstd'] : [])],
      fileSystems: ['ext2', 'ext3', 'ext4', 'btrfs', 'xfs', 'f2fs', 'fat', 'iso9660', 'squashfs', 'zfs', 'on LVM and RAID too'],
    },
    warnings,
  };
}
