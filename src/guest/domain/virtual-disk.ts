/** Disks in a domain's configuration: what they are, and which comes first for a loader. Pure. */

/** A guest's disk. */
export interface VirtualDisk {
  /** The file or device in dom0; undefined where there is none (an empty drive) or it is made by a script. */
  target: string | undefined;
  /** raw, qcow2, vhd …; "raw" if nothing is said. */
  format: string;
  /** The guest's name for it: xvda, xvda1, hda … */
  vdev: string;
  /** The number of the virtual device: loaders count by it. */
  number: number;
}

const letters = (text: string) => [...text].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 96, 0) - 1;

/**
 * The number of a virtual device (Xen, docs/man/xen-vbd-interface.7): xvda is 202 << 8, xvda1 one more, xvdb 16 more;
 * hda and sda have IDE's and SCSI's numbers.
 * @returns undefined for a name that is none
 */
export function vdevNumber(name: string): number | undefined {
  if (/^\d{1,10}$/.test(name)) return Number(name);
  const numbered = /^d(\d{1,7})(?:p(\d{1,4}))?$/.exec(name);
  const named = /^(xvd|hd|sd|vd)([a-z]{1,4})(\d{1,4})?$/.exec(name);
  if (!numbered && !named) return undefined;
  const kind = named?.[1] ?? 'xvd';
  const disk = named ? letters(named[2] as string) : Number(numbered?.[1]);
  const partition = Number((named ? named[3] : numbered?.[2]) ?? 0);
  if (kind === 'hd') {
    if (disk > 3 || partition > 63) return undefined;
    return disk < 2 ? (3 << 8) | (disk << 6) | partition : (22 << 8) | ((disk - 2) << 6) | partition;
  }
  if (kind === 'sd') return disk < 16 && partition < 16 ? (8 << 8) | (disk << 4) | partition : undefined;
  return disk < 16 && partition < 16 ? (202 << 8) | (disk << 4) | partition : (1 << 28) + disk * 256 + partition;
}

/** Prefixes that old configurations have before a target (xl-disk-configuration(5), "deprecated"). */
const PREFIX = /^(phy|file|tap2?|aio|tapdisk|ioemu|raw|qcow2?|vhd|qed|vdi|script|drbd|iscsi|nbd|enbd):/;
const FORMATS = new Set(['raw', 'qcow', 'qcow2', 'vhd', 'qed', 'empty']);

/**
 * One disk of a configuration (xl-disk-configuration(5)): positions "target, format, vdev, access", keys, or the old
 * "phy:target,vdev,access".
 * @returns undefined where it names no virtual device
 */
export function parseDisk(spec: string): VirtualDisk | undefined {
  const keys = new Map<string, string>();
  const positions: string[] = [];
  let rest = spec.trim();
  while (rest !== '') {
    // A target named by its key takes all that follows, commas included.
    const target = /^\s*target\s*=(.*)$/s.exec(rest);
    if (target) {
      keys.set('target', (target[1] as string).trim());
      break;
    }
    const comma = rest.indexOf(',');
    const part = (comma < 0 ? rest : rest.slice(0, comma)).trim();
    rest = comma < 0 ? '' : rest.slice(comma + 1);
    const key =
      /^(format|vdev|access|devtype|backend|backendtype|script|discard|discard-enable|colo-[a-z-]+|active-disk|hidden-disk|specification|trusted)\s*=\s*(.*)$/.exec(
        part,
      );
    if (key) keys.set(key[1] as string, key[2] as string);
    else positions.push(part);
  }
  let [target = ''] = positions;
  let format = keys.get('format');
  while (PREFIX.test(target)) {
    const prefix = (PREFIX.exec(target)?.[1] ?? '') as string;
    if (FORMATS.has(prefix)) format ??= prefix;
    target = target.slice(prefix.length + 1);
  }
  const old = /^([^:]+)(?::cdrom|:disk)?$/;
  const words = positions.slice(1).map((word) => old.exec(word)?.[1] ?? word);
  // The old way has no format between target and device.
  const oldWay = words[0] !== undefined && !FORMATS.has(words[0]) && vdevNumber(words[0]) !== undefined;
  if (!oldWay && words[0]) format ??= words[0];
  const vdev = keys.get('vdev') ?? (oldWay ? words[0] : words[1]) ?? '';
  const number = vdevNumber(vdev);
  if (number === undefined) return undefined;
  const named = keys.get('target') ?? target;
  return { target: named === '' || keys.has('script') ? undefined : named, format: format ?? 'raw', vdev, number };
}

/** Disks in the order in which loaders count them: hd0 is the one with the smallest number. */
export function inOrder(disks: readonly VirtualDisk[]): VirtualDisk[] {
  return disks.toSorted((a, b) => a.number - b.number);
}
