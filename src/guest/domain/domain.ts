import type { VirtualDisk } from './virtual-disk.ts';

/** A domain's configuration as far as booting goes, in whatever format it is written. Pure data. */
export interface Domain {
  format: 'xl' | 'libvirt';
  type: 'pv' | 'pvh' | 'hvm';
  /** A kernel or loader in dom0. */
  kernel: string | undefined;
  /** The initial RAM disk in dom0. */
  ramdisk: string | undefined;
  /** pygrub, or another program of dom0 that takes the kernel from the guest's disk. */
  bootloader: string | undefined;
  /** What the kernel is told: `root=` and the rest; a loader's menu, where it boots through one. */
  commandLine: string;
  /** MiB. */
  memory: number | undefined;
  /** In the order in which loaders count them. */
  disks: VirtualDisk[];
}

/** How a domain is to boot. */
export interface BootThrough {
  /** The loader's file in dom0. */
  kernel: string;
  /** What the loader is told: its menu; undefined where it finds that by itself. */
  menu: string | undefined;
  type: 'pv' | 'pvh';
}

/** The menu that a command line names, as pv-grub takes it: its first word. */
export function menuOf({ commandLine }: Pick<Domain, 'commandLine'>): string | undefined {
  return /^\s*(\(hd\d+(?:,\d+)?\)\/\S+)/.exec(commandLine)?.[1];
}
