import { readFile, stat } from 'node:fs/promises';
import type { Engine } from '../engine/engine.ts';
import { ifThere } from '../util/files.ts';

/** Ways to have a machine: virtualised or emulated, from a saved state or from its power-on. */

/** One way to have the machine. */
export interface Way {
  accelerator: 'tcg' | 'kvm';
  start: 'saved' | 'cold';
  device?: { path: string; group: number };
}

/** Which processor is wanted, and where to say what came of it. */
export interface WayChoice {
  engine: Engine;
  accelerator: 'auto' | 'tcg' | 'kvm';
  warn: (text: string) => void;
}

/** /dev/kvm of this machine, where the engine is on it. */
async function realKvm(engine: Engine): Promise<Way['device']> {
  if (!engine.endpoint.startsWith('unix:')) return undefined;
  const path = '/dev/kvm';
  const device = await ifThere(stat(path));
  if (!device?.isCharacterDevice()) return undefined;
  return { path, group: device.gid };
}

/** The ways to try, in order. KVM only where the processor has vmx or svm, or where it is asked for. */
export async function waysFor({ engine, accelerator, warn }: WayChoice): Promise<Way[]> {
  const emulated: Way[] = [
    { accelerator: 'tcg', start: 'saved' },
    { accelerator: 'tcg', start: 'cold' },
  ];
  if (accelerator === 'tcg') return emulated;
  const device = await realKvm(engine);
  if (!device && accelerator === 'kvm') warn('there is no /dev/kvm where the engine is; emulation is used');
  // A software KVM cannot do what Xen needs.
  const flags = /^flags\s*:.*\b(vmx|svm)\b/m.test((await ifThere(readFile('/proc/cpuinfo', 'utf8'))) ?? '');
  return device && (flags || accelerator === 'kvm') ? [{ accelerator: 'kvm', start: 'cold', device }, ...emulated] : emulated;
}
