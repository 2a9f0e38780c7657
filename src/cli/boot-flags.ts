import type { BootChoice } from '../build/boot-stage.ts';
import { UsageError } from '../errors.ts';

/** Flags that say how images are booted. */
export interface BootFlags {
  guest?: string;
  accel?: string;
  cases?: string;
  repeat?: string;
}

/** The choice that flags make. @throws UsageError OPTION_INVALID */
export function bootChoice({ guest = 'tiny', accel = 'auto', cases, repeat = '1' }: BootFlags): BootChoice {
  if (guest !== 'tiny' && guest !== 'linux') throw new UsageError('OPTION_INVALID', `--guest ${guest}`, { expected: 'tiny or linux' });
  if (accel !== 'auto' && accel !== 'tcg' && accel !== 'kvm')
    throw new UsageError('OPTION_INVALID', `--accel ${accel}`, { expected: 'auto, tcg or kvm' });
  const times = Number(repeat);
  if (!Number.isInteger(times) || times < 1 || times > 500)
    throw new UsageError('OPTION_INVALID', `--repeat ${repeat}`, { expected: 'a number from 1 to 500' });
  return { linux: guest === 'linux', accelerator: accel, ...(cases === undefined ? {} : { only: cases.split(',') }), repeat: times };
}
