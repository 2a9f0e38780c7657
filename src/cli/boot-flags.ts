import type { BootChoice } from '../build/boot-stage.ts';
import { UsageError } from '../errors.ts';

/** Flags that say how images are booted. */
export interface BootFlags {
  guest?: string;
  accel?: string;
  cases?: string;
}

/** The choice that flags make. @throws UsageError OPTION_INVALID */
export function bootChoice({ guest = 'tiny', accel = 'auto', cases }: BootFlags): BootChoice {
  if (guest !== 'tiny' && guest !== 'linux') throw new UsageError('OPTION_INVALID', `--guest ${guest}`, { expected: 'tiny or linux' });
  if (accel !== 'auto' && accel !== 'tcg' && accel !== 'kvm')
    throw new UsageError('OPTION_INVALID', `--accel ${accel}`, { expected: 'auto, tcg or kvm' });
  return { linux: guest === 'linux', accelerator: accel, ...(cases === undefined ? {} : { only: cases.split(',').filter(Boolean) }) };
}
