import { EngineError } from '../errors.ts';
import type { Arch } from '../recipes/types.ts';
import { diskInPlace, diskSent, type GuestDiskWay } from './guest-disk.ts';
import { type Goal, type GuestOutcome, GuestWatch } from './guest-watch.ts';
import type { Machine, MachineCase } from './machine.ts';
import { environmentOf, type MachineContext, type MachineRun, NO_DISKS, NO_GUEST_DISK, runMachine } from './run-machine.ts';
import type { BootEnvironment } from './types.ts';
import { type Way, type WayChoice, waysFor } from './ways.ts';

/** Booting a guest from its own disks, in the boot image's Xen. Nothing is written to them. */

/** One of the guest's disks. */
export interface OwnDisk {
  path: string;
  /** Bytes. */
  size: number;
  /** Its name in the guest. */
  vdev: string;
}

/** A guest to boot. */
export interface GuestBoot {
  image: Uint8Array;
  arch: Arch;
  disks: readonly OwnDisk[];
  /** The domain's `extra`. */
  extra: string;
  /** MiB that the guest has. */
  memory: number;
  /** Seconds from the domain's start. */
  limit: number;
  goal: Goal;
}

/** Where and how it is booted. */
export interface GuestContext extends MachineContext, Pick<WayChoice, 'accelerator'> {
  /** Text of the guest's console, as it comes (Latin-1). */
  show: (text: string) => void;
  /** Somebody's keys: called with what to give them to. Nothing is pressed or ended by itself then. */
  keyboard?: ((type: (bytes: Uint8Array) => void) => void) | undefined;
}

/** dom0 and the hypervisor have so much of the machine's memory, in MiB. */
const AROUND = 232;

/** The domain's configuration (xl.cfg(5)): the machine's second disk is the guest's first. */
export function guestConfig({ arch, extra, memory, disks }: Pick<GuestBoot, 'arch' | 'extra' | 'memory' | 'disks'>): string {
  const written = (text: string) => `"${text.replace(/[\\"]/g, '\\$&')}"`;
  const list = disks.map(({ vdev }, n) => `"phy:/dev/vd${String.fromCharCode(98 + n)},${vdev},w"`);
  return [
    'name = "guest"',
    `type = "${arch === 'x86_32_pvh' ? 'pvh' : 'pv'}"`,
    'kernel = "/job/image"',
    `extra = ${written(extra)}`,
    `memory = ${memory}`,
    `disk = [${list.join(', ')}]`,
    ...['on_poweroff', 'on_reboot', 'on_crash'].map((event) => `${event} = "destroy"`),
    '',
  ].join('\n');
}

/**
 * Boot a guest until it has come as far as is wanted, or cannot.
 * @throws EngineError BOOT_MACHINE_FAILED where no machine comes up; the signal's reason
 */
export async function bootGuest(
  boot: GuestBoot,
  context: GuestContext,
): Promise<{ outcome: GuestOutcome; diagnosis: string[]; environment: BootEnvironment }> {
  // A saved machine has no place for more disks.
  const ways = (await waysFor(context)).filter(({ start }) => start === 'cold');
  let sent = false;
  for (;;) {
    const way = ways[0] as Way;
    const { run, outcome, diagnosis } = await once(boot, way, context, sent);
    const { machine, code } = run;
    if (outcome) {
      return { outcome, diagnosis, environment: environmentOf(run, way, context.image) };
    }
    const got = [...(machine.failure === undefined ? [] : [machine.failure]), ...machine.log().slice(-12)].join('\n');
    if (code === NO_GUEST_DISK && !sent) {
      context.warn('the engine cannot read the disk in its place: it is sent');
      sent = true;
      continue;
    }
    if (code === NO_DISKS)
      throw new EngineError('BOOT_MACHINE_FAILED', "the guest's disks did not fit where the engine keeps its volumes", {
        got,
        hint: 'make room there',
      });
    ways.shift();
    if (ways.length === 0)
      throw new EngineError('BOOT_MACHINE_FAILED', `Xen and its dom0 did not come up in the boot container (exit code ${code ?? 'none'})`, {
        got,
        hint: `it needs about ${boot.memory + 800} MB of memory on the engine; --memory gives the guest less`,
      });
    context.warn(`no boot by ${way.accelerator}: Xen's dom0 did not come up; trying another way`);
  }
}

type Once = { run: MachineRun<MachineCase, GuestWatch>; outcome: GuestOutcome | undefined; diagnosis: string[] };

async function once(boot: GuestBoot, way: Way, context: GuestContext, sent: boolean): Promise<Once> {
  const { disks, image, limit, goal, memory } = boot;
  const { engine, signal, keyboard, show } = context;
  const places = await Promise.all(
    disks.map(
      async ({ path, size }, n): Promise<GuestDiskWay> =>
        (sent ? undefined : await diskInPlace(engine, path, n)) ?? diskSent(path, size, n, signal),
    ),
  );
  const text = (name: string, content: string) => ({ name, content: Buffer.from(content) });
  const files = (nonce: string) => [
    { name: 'in/image', content: image },
    text('in/nonce', nonce),
    text('in/domain.cfg', guestConfig(boot)),
    text('in/limit', String(limit)),
    text('in/disks.sh', 'set -eu\nmkdir -p job/001\ncp in/nonce in/image job/\ncp in/domain.cfg in/limit job/001/\n'),
    ...places.flatMap((place) => place.files),
  ];
  let machine: Machine<MachineCase, GuestWatch> | undefined;
  let outcome: GuestOutcome | undefined;
  let diagnosis: string[] = [];
  const run = await runMachine<MachineCase, GuestWatch>(
    {
      cases: [{ id: '001', limit }],
      files,
      memory: memory + AROUND,
      binds: places.flatMap(({ binds }) => binds),
      devices: places.flatMap(({ devices }) => devices),
      begun: (_, now) => {
        // Before, Ctrl-C is still Ctrl-C.
        keyboard?.((bytes) => machine?.type(bytes));
        return new GuestWatch({ now, goal, attended: keyboard !== undefined, show });
      },
      ended: (_, watch, ending) => {
        outcome = watch.outcome(ending);
        diagnosis = watch.diagnosis;
      },
      onMachine: (one) => {
        machine = one;
      },
    },
    way,
    context,
  );
  return { run, outcome, diagnosis };
}
