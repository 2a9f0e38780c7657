import type { Placement, Recipe, Step } from '../recipes/types.ts';
import type { Format } from '../sources/archive-check.ts';

/** The shell scripts that run inside a cell's containers. Pure: data in, text out. */

/** Begins a line that names a phase; no compiler prints this character. */
export const PHASE_MARK = '\x1e';

/** Text as one word of the shell. */
export function quote(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** What the unpacking script must know of a tarball. */
export interface Tarball {
  /** File name below /cell/in. */
  file: string;
  format: Format;
}

const DECOMPRESS: Record<Format, string> = { tar: 'cat', gzip: 'gzip -dc', bzip2: 'bzip2 -dc', xz: 'xz -dc' };
const COMPRESS: Record<Format, string> = { tar: 'cat', gzip: 'gzip -n1', bzip2: 'bzip2 -1', xz: 'xz -1' };

/** The compression that a file name promises. */
export function formatOfName(name: string): Format {
  if (/\.(tar\.gz|tgz)$/.test(name)) return 'gzip';
  if (/\.(tar\.bz2|tbz2?)$/.test(name)) return 'bzip2';
  if (/\.(tar\.xz|txz)$/.test(name)) return 'xz';
  return 'tar';
}

/**
 * The script that lays out a cell's tree below /cell/src: sources unpacked, in the order given, or put in place as
 * the tarballs that a Makefile looks for (compressed anew where the stored form is another).
 */
export function unpackScript(placements: readonly Placement[], tarballs: ReadonlyMap<string, Tarball>): string {
  const lines = ['set -eu', 'umask 022', 'mkdir -p /cell/src /cell/out /cell/tmp', 'cd /cell/src'];
  for (const { source, unpack, as } of placements) {
    const tarball = tarballs.get(source);
    if (!tarball) throw new Error(`no tarball for ${source}`);
    const input = quote(`/cell/in/${tarball.file}`);
    if (unpack !== undefined) {
      // A release tarball may bring an older copy of what another source gives: that one replaces it.
      if (unpack !== '.') lines.push(`rm -rf ${quote(unpack)}`, `mkdir -p ${quote(unpack)}`);
      lines.push(`${DECOMPRESS[tarball.format]} ${input} | tar -xf - -C ${quote(unpack)} --strip-components=1 --no-same-owner`);
    }
    if (as !== undefined) {
      const wanted = formatOfName(as);
      lines.push(
        wanted === tarball.format
          ? `cp ${input} ${quote(as)}`
          : `${DECOMPRESS[tarball.format]} ${input} | ${COMPRESS[wanted]} > ${quote(as)}`,
      );
    }
    lines.push(`rm -f ${input}`);
  }
  return `${lines.join('\n')}\n`;
}

/** The script that runs a recipe's steps, each in a shell of its own in the tree, and says which phase begins. */
export function buildScript(steps: readonly Step[]): string {
  const parts = steps.map(({ phase, run }) => `printf '\\036%s\\n' ${quote(phase)}\n(\ncd /cell/src\n${run}\n)`);
  return `set -eu\numask 022\n${parts.join('\n')}\n`;
}

/** The environment of a cell's containers: the recipe's, and what is the same for all. `JOBS` never changes the output. */
export function buildEnvironment(recipe: Recipe, jobs: number): Record<string, string> {
  return { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/cell', TMPDIR: '/cell/tmp', ...recipe.env, JOBS: String(jobs) };
}
