import { type BootFile, type BootFiles, knownTo } from './boot-files.ts';
import type { Finding } from './finding.ts';

/** An entry of any menu, as far as loaders differ in nothing: what is to be loaded, and what it is told. Pure. */

/** What an entry would boot. */
export interface Boot {
  title: string;
  /** Where it stands. */
  where: string;
  kernel: BootFile;
  initrds: BootFile[];
  args: string;
}

/** A whole menu, checked. */
export interface CheckedMenu {
  /** "(hd0)/boot/grub/menu.lst" */
  name: string;
  kind: 'legacy' | 'grub2';
  file: BootFile;
  entries: number;
  /** Index and title of the entry that is booted; undefined where there is none. */
  chosen: { index: number; title: string } | undefined;
  /** Seconds; undefined where it waits for a key. */
  timeout: number | undefined;
  /** What the chosen entry boots; undefined where it boots nothing. */
  boot: Boot | undefined;
  /** The other entries' boots. */
  others: Boot[];
  findings: Finding[];
}

/** Consoles of Xen guests: today's, and that of the XenLinux kernels before 2.6.24. */
const CONSOLE = /(?:^|\s)(?:console|xencons)=(?:hvc|xvc|tty\b)/;

/** What of an entry's files is missing. */
export function missing(boot: Boot, level: Finding['level']): Finding[] {
  return [
    ...[boot.kernel].map((file) => ({ file, what: 'kernel' })),
    ...boot.initrds.map((file) => ({ file, what: 'initial RAM disk' })),
  ].flatMap(({ file, what }) => {
    const { found, name, volume } = file;
    const finding = (text: string, hint?: string): Finding[] => [
      { level, where: boot.where, what: text, ...(hint === undefined ? {} : { hint }) },
    ];
    if (found.state === 'absent') return finding(`there is no ${what} ${name}`, nearby(file));
    if (found.state === 'found' && found.file.kind !== 'file') return finding(`${name} is no file`);
    if (found.state === 'found' && found.file.size === 0)
      return finding(
        `the ${what} ${name} is empty`,
        'update-initramfs or the package that brought it writes it anew; look whether /boot is full',
      );
    if (found.state === 'unknown' && volume.open) return finding(`the ${what} ${name} cannot be looked at: ${found.why}`);
    return [];
  });
}

/** Where a file of that name is instead: /boot may be a file system of its own, or not. */
function nearby({ name, volume }: BootFile): string | undefined {
  const path = name.slice(volume.name.length);
  const other = path.startsWith('/boot/') ? path.slice('/boot'.length) : `/boot${path}`;
  if (volume.find(other).state === 'found') return `it is ${volume.name}${other} on this volume: write ${other}`;
  const folder = path.replace(/\/[^/]*$/, '');
  const kernels = volume.list(folder).filter((file) => /^(vmlinu|initr|kernel)/.test(file));
  return kernels.length > 0 ? `in ${folder || '/'} there are ${kernels.sort().slice(0, 6).join(', ')}` : undefined;
}

/** What an entry tells the kernel that will not do. */
export function argumentFindings({ args, where }: Boot, files: BootFiles): Finding[] {
  const warn = (what: string, hint?: string): Finding => ({ level: 'warning', where, what, ...(hint === undefined ? {} : { hint }) });
  const found: Finding[] = [];
  if (!CONSOLE.test(args))
    found.push(
      warn(
        'console=hvc0 is missing: the kernel boots, but says nothing on the console',
        'add console=hvc0 (menu.lst: in "# kopt=", then update-grub)',
      ),
    );
  const root = /(?:^|\s)root=(\S+)/.exec(args)?.[1];
  if (root === undefined) {
    if (!/(?:^|\s)(?:boot=live|ip=|nfsroot=|cryptdevice=|rd\.)/.test(args))
      found.push(warn('root= is missing: the kernel is not told which file system is its root', 'add root=/dev/xvda1, or root=UUID=…'));
    return found;
  }
  const named = /^(UUID|LABEL)="?([^"]+)"?$/.exec(root);
  if (named) {
    const key = named[1] === 'UUID' ? 'uuid' : 'label';
    if (!knownTo(files.volumes, key, named[2] as string) && files.volumes.every(({ content }) => content.type !== 'LVM2_member'))
      found.push(
        warn(
          `root=${root}: no file system here has this ${named[1]}`,
          'it may be on another disk of the guest; blkid tells which have which',
        ),
      );
  }
  if (/^\/dev\/(sd|hd|vd)[a-z]/.test(root))
    found.push(warn(`root=${root}: Xen's disks are xvda, xvdb … for today's kernels`, 'name it by UUID, or as /dev/xvda…'));
  return found;
}
