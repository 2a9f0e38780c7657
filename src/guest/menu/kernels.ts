/** Kernels in a guest's /boot, with their initial RAM disks. Pure. */

/** A kernel that can be booted. */
export interface InstalledKernel {
  version: string;
  /** File name in /boot. */
  kernel: string;
  initrd: string | undefined;
}

/** Names under which distributions have them: vmlinuz-<version>, kernel-<version> (Gentoo). */
const KERNEL = /^(?:vmlinu[xz]|kernel(?:-genkernel)?(?:-x86_64|-x86)?)-(\d.*)$/;
/** Rests of package managers. */
const LEFT_OVER = /\.(dpkg-\w+|rpm\w+|old|bak|efi\.signed|sig|hmac)$|~$/;

/** The initial RAM disk of a version, by the names that Debian, Fedora, SUSE and Gentoo give it. */
function initrdOf(version: string, names: ReadonlySet<string>): string | undefined {
  return [
    `initrd.img-${version}`,
    `initrd-${version}`,
    `initrd-${version}.img`,
    `initramfs-${version}.img`,
    `initramfs-${version}`,
    `initrd-${version}.gz`,
    `initrd.img-${version}.gz`,
  ].find((name) => names.has(name));
}

/** Parts of a version, so that rc, pre and git come before the release, and numbers count as numbers. */
const partsOf = (version: string) => version.replace(/[._-]?(pre|rc|test|git|trunk)/g, '~$1').match(/\d+|~|[^\d~]+/g) ?? [];

/** Compare two kernel versions: 6.1.0-30 after 6.1.0-9, 5.10-rc1 before 5.10. */
export function compareKernels(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [one, two] = [left[i], right[i]];
    if (one === two) continue;
    if (one === '~') return -1;
    if (two === '~') return 1;
    if (one === undefined) return -1;
    if (two === undefined) return 1;
    const [m, n] = [Number(one), Number(two)];
    if (!Number.isNaN(m) && !Number.isNaN(n)) {
      if (m !== n) return m - n;
      continue;
    }
    return one < two ? -1 : 1;
  }
  return 0;
}

/** The kernels among the names in /boot, the newest first. */
export function installedKernels(names: readonly string[]): InstalledKernel[] {
  const all = new Set(names);
  return names
    .flatMap((kernel): InstalledKernel[] => {
      const version = LEFT_OVER.test(kernel) ? undefined : KERNEL.exec(kernel)?.[1];
      return version === undefined ? [] : [{ version, kernel, initrd: initrdOf(version, all) }];
    })
    .sort((a, b) => compareKernels(b.version, a.version));
}
