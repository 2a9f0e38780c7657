/** GRUB's device.map: which of the guest's devices are GRUB's disks. Pure. */

/** One line of it. */
export interface MapLine {
  line: number;
  /** "hd0" */
  drive: string;
  device: string;
}

/** A device.map; lines that are none are told by number. */
export interface DeviceMap {
  lines: MapLine[];
  bad: { line: number; text: string }[];
}

const MAX = 64 * 1024;

/** Read a device.map: "(hd0) /dev/xvda" in lines, "#" comments. */
export function parseDeviceMap(text: string): DeviceMap {
  const map: DeviceMap = { lines: [], bad: [] };
  for (const [i, raw] of text.slice(0, MAX).split('\n').entries()) {
    const content = raw.trim();
    if (content === '' || content.startsWith('#')) continue;
    const match = /^\(([a-z]+\d+)\)\s+(\S+)$/.exec(content);
    if (match) map.lines.push({ line: i + 1, drive: match[1] as string, device: match[2] as string });
    else map.bad.push({ line: i + 1, text: content });
  }
  return map;
}

/** A device.map as it is written: one line for each disk, in order. */
export function deviceMapText(devices: readonly string[]): string {
  return devices.map((device, i) => `(hd${i})\t${device}\n`).join('');
}
