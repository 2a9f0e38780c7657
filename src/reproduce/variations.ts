import { type Surroundings, USUAL } from '../build/surroundings.ts';
import { UsageError } from '../errors.ts';

/** What is changed around a build that must give the same image all the same. Pure. */

/** How a cell is built again. */
export interface Again {
  surroundings: Surroundings;
  jobs: number;
  /** On the other engine, where there is one. */
  elsewhere: boolean;
}

/** One named change. */
export interface Variation {
  name: string;
  /** What it is, for people. */
  what: string;
  /** It needs what only the reproduction image has. */
  needsImage?: true;
  change: (again: Again) => Again;
}

const around = (change: Partial<Surroundings>) => (again: Again) => ({ ...again, surroundings: { ...again.surroundings, ...change } });
const env = (more: Record<string, string>) => (again: Again) => around({ env: { ...again.surroundings.env, ...more } })(again);

/** How far the faked clock is ahead: another year, month, day, hour, minute and second. */
const AHEAD = 400 * 86_400 + 7 * 3600 + 13 * 60 + 11;

/** A locale of the reproduction image, whose letters, decimal point and dates are not those of C. */
const LOCALE = 'fr_FR.UTF-8';

/** A folder of the reproduction image that everybody may write to. */
const OTHER_PLACE = '/var/tmp/reproduced/at-another-place';

/** All variations, in the order that they are told in. */
export const VARIATIONS: readonly Variation[] = [
  { name: 'host', what: 'another host name', change: around({ host: 'another-machine.example' }) },
  {
    name: 'clock',
    what: 'a clock that is 400 days ahead',
    needsImage: true,
    // Files keep their real times, also those that are touched: stamps in the future would have make build things over
    // and over again.
    change: env({
      LD_PRELOAD: '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
      FAKETIME: `+${AHEAD}`,
      NO_FAKE_STAT: '1',
      FAKE_UTIME: '1',
    }),
  },
  { name: 'zone', what: 'another time zone', change: env({ TZ: 'REP+11:37' }) },
  {
    name: 'locale',
    what: 'a French locale but for the order of letters',
    needsImage: true,
    // Wildcards of upstream's makefiles come in the order of letters: that one is an input, as the recipe sets it. Messages
    // are ours to read: out of disk, out of memory.
    change: env({
      LC_ALL: '',
      LANG: LOCALE,
      LC_COLLATE: 'C',
      LC_MESSAGES: 'C',
    }),
  },
  { name: 'umask', what: 'a mask that leaves files to their owner', change: around({ umask: '077' }) },
  { name: 'jobs', what: 'another number of jobs', change: (again) => ({ ...again, jobs: again.jobs + 2 }) },
  { name: 'order', what: 'the tree’s files in another order', change: around({ reversed: true }) },
  { name: 'user', what: 'another user, whom no file names', needsImage: true, change: around({ user: 4321 }) },
  { name: 'path', what: 'another build path', needsImage: true, change: around({ place: OTHER_PLACE }) },
  { name: 'engine', what: 'another engine', change: (again) => ({ ...again, elsewhere: true }) },
];

/** What a cell was built with before anything is changed. @param jobs the number that its image was built with */
export function usually(jobs: number): Again {
  return { surroundings: USUAL, jobs, elsewhere: false };
}

/** Several variations on top of each other. */
export function varied(again: Again, variations: readonly Variation[]): Again {
  return variations.reduce((before, { change }) => change(before), again);
}

/**
 * The variations that names mean: with commas between them, those named; each with a "!" before it, all but those.
 * @throws UsageError OPTION_INVALID
 */
export function chosenVariations(names: string | undefined): Variation[] {
  if (names === undefined) return [...VARIATIONS];
  const wanted = names.split(',').map((name) => name.trim());
  const unknown = wanted.find((name) => !VARIATIONS.some((variation) => variation.name === name.replace(/^!/, '')));
  if (unknown !== undefined)
    throw new UsageError('OPTION_INVALID', `"${unknown}" is no variation`, {
      expected: VARIATIONS.map(({ name }) => name).join(', '),
      hint: 'put "!" before a name to leave it out',
    });
  const named = (name: string) => wanted.includes(name);
  const only = wanted.some((name) => !name.startsWith('!'));
  return VARIATIONS.filter(({ name }) => (only ? named(name) : !named(`!${name}`)));
}
