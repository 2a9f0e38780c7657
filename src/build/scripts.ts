import type { Placement, Recipe, Step, Toolchain } from '../recipes/types.ts';
import type { Format } from '../sources/archive-format.ts';

/** The shell scripts that run inside a cell's containers. Pure: data in, text out. */

/** Begins a line that names a phase; no compiler prints this character. */
export const PHASE_MARK = '\x1e';

/** The mask of file modes that scripts set, if no other is asked for. */
const UMASK = '022';

/** Text as one word of the shell. */
export function quote(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** What the unpacking script must know of a source's canonical tar. */
export interface Tarball {
  /** Where the container has it, to be read only. */
  file: string;
  /** The folder at its top. */
  top: string;
}

const COMPRESS: Record<Format, string> = { tar: 'cat', gzip: 'gzip -n1', bzip2: 'bzip2 -1', xz: 'xz -1' };

/** The compression that a file name promises. */
export function formatOfName(name: string): Format {
  if (/\.(tar\.gz|tgz)$/.test(name)) return 'gzip';
  if (/\.(tar\.bz2|tbz2?)$/.test(name)) return 'bzip2';
  if (/\.(tar\.xz|txz)$/.test(name)) return 'xz';
  return 'tar';
}

/** Commands that put a tarball in place under the name that a Makefile looks for, with less in it where that is wanted. */
function place({ file, top }: Tarball, { source, as = '', without }: Placement): string {
  const input = quote(file);
  const compress = COMPRESS[formatOfName(as)];
  if (without === undefined) return `${compress} < ${input} > ${quote(as)}`;
  const patterns = without.map((pattern) => quote(`${top}/${pattern}`)).join(' ');
  const less = quote(`/cell/tmp/${source}.tar`);
  return `tar -f - --delete --wildcards ${patterns} < ${input} > ${less}\n${compress} < ${less} > ${quote(as)}\nrm ${less}`;
}

/**
 * The script that lays out a cell's tree below /cell/src: sources unpacked, in the order given, and then side by side
 * put in place as the tarballs that a Makefile looks for, compressed as their names say.
 */
export function unpackScript(placements: readonly Placement[], tarballs: ReadonlyMap<string, Tarball>, umask = UMASK): string {
  const lines = ['set -eu', `umask ${umask}`, 'mkdir -p /cell/src /cell/out /cell/tmp', 'cd /cell/src'];
  const aside: string[] = [];
  for (const placement of placements) {
    const { source, unpack, as, without = [] } = placement;
    const tarball = tarballs.get(source);
    if (!tarball) throw new Error(`no tarball for ${source}`);
    if (unpack !== undefined) {
      // A release tarball may bring an older copy of what another source gives: that one replaces it.
      if (unpack !== '.') lines.push(`rm -rf ${quote(unpack)}`, `mkdir -p ${quote(unpack)}`);
      const less = without.map((pattern) => ` --exclude=${quote(`${tarball.top}/${pattern}`)}`).join('');
      lines.push(`tar -xf ${quote(tarball.file)} -C ${quote(unpack)} --strip-components=1 --no-same-owner${less}`);
    }
    if (as !== undefined) aside.push(`(\nset -e\n${place(tarball, placement)}\n) &\npids="$pids $!"`);
  }
  if (aside.length > 0) lines.push('pids=', ...aside, 'for pid in $pids; do wait "$pid"; done');
  // What is mounted there later has the mode of the folder below it, and root as its owner.
  lines.push('chmod 1777 /cell/src /cell/tmp');
  return `${lines.join('\n')}\n`;
}

/** The script that runs a recipe's steps, each in a shell of its own in the tree, and says which phase begins. */
export function buildScript(steps: readonly Step[], umask = UMASK): string {
  const parts = steps.map(({ phase, run }) => `printf '\\036%s\\n' ${quote(phase)}\n(\ncd /cell/src\n${run}\n)`);
  return `set -eu\numask ${umask}\n${parts.join('\n')}\n`;
}

/** The folder of a cell's tree. */
export const TREE = '/cell/src';

/** A recipe's steps, parted where its toolchain begins and ends. */
export function partsOf(steps: readonly Step[]): { before: Step[]; toolchain: Step[]; after: Step[] } {
  const first = steps.findIndex((step) => step.toolchain);
  const last = steps.findLastIndex((step) => step.toolchain);
  return { before: steps.slice(0, first), toolchain: steps.slice(first, last + 1), after: steps.slice(last + 1) };
}

const LISTING = '/cell/out/toolchain.listing';
const COMMANDS = '/cell/out/toolchain.commands';
const READS = '/cell/src/.reads';
const ARCHIVE = '/cell/out/toolchain.tar.gz';

/** What the steps of this file leave, and what they need beside the tree. */
export const TOOLCHAIN = {
  listing: LISTING,
  commands: COMMANDS,
  reads: '/cell/out/toolchain.reads',
  archive: ARCHIVE,
  /** Programs for them, by name below `in`. */
  programs: {
    // A shell for `make -n`, which runs lines with $(MAKE) in spite of -n. Functions such as $(shell) are answered;
    // recipes, which make gives its MAKELEVEL, are printed with what they would find in the environment.
    'print-command.sh': `#!/bin/sh\nif [ -z "\${MAKELEVEL-}" ]; then exec /bin/sh "$@"; fi\nfor last; do :; done\nprintf '%s\\n' "$last"\nenv | sort\n`,
    // Compilers that note what they read, system headers too, whatever flags they are given.
    ...Object.fromEntries(
      ['gcc', 'cc'].map((name) => [
        `record/${name}`,
        `#!/bin/sh\nprintf '@%s\\n' "$PWD" >>${READS}/$$\nSUNPRO_DEPENDENCIES=${READS}/$$ exec /usr/bin/${name} "$@"\n`,
      ]),
    ),
  } as Record<string, string>,
};

/** A step that takes the tree over into memory: see ContainerSpec.inMemory. */
export const INTO_MEMORY: Step = { phase: 'unpack', run: 'find /disk/src -mindepth 1 -maxdepth 1 -exec cp -a -t . {} +' };

/** The same with all files in another order: a folder in memory lists them by their age, where a disk has an order of its own. */
export const INTO_MEMORY_REVERSED: Step = {
  phase: 'unpack',
  run: [
    '(cd /disk/src && find . -mindepth 1 -print0) > ../tmp/names',
    'LC_ALL=C sort -rz -o ../tmp/names ../tmp/names',
    '(tar -C /disk/src --null --no-recursion -T ../tmp/names -cf - || echo > ../tmp/cut) | tar -xpf - --no-same-owner',
    'test ! -e ../tmp/cut',
    'rm ../tmp/names',
  ].join('\n'),
};

/**
 * Steps that find out what a toolchain would be made from, the same with any number of jobs. None of them fails: then
 * nothing is shared.
 */
export function probeSteps({ headers, files, commands }: Toolchain): Step[] {
  const listed = [
    `find -L ${headers.join(' ')} -type f -name '*.h'`,
    `find ${files} -maxdepth 1 -type f ! -name Makefile ! -name '*.tar.*' ! -name '*.tgz'`,
  ];
  const phase = 'toolchain';
  return [
    { phase, run: `{ ${listed.join('; ')}; } 2>/dev/null | sort -u | xargs -d '\\n' sha256sum >${LISTING} || rm -f ${LISTING}` },
    { phase, run: `(\nunset JOBS\n${commands}\n) >${COMMANDS} 2>&1 || rm -f ${COMMANDS}` },
  ];
}

/** The toolchain's steps with what its compilers read noted, and what it leaves packed. */
export function recordedSteps(steps: readonly Step[], { keep, stubs }: Toolchain): Step[] {
  const recorded = steps.map((step) => ({ ...step, run: `mkdir -p ${READS}\nPATH=/cell/in/record:$PATH\n${step.run}` }));
  const packed = `--no-recursion ${stubs.join(' ')} --recursion ${keep.join(' ')}`;
  const fixed = '--format=gnu --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner';
  return [
    ...recorded,
    { phase: 'toolchain', run: `cat ${READS}/* >${TOOLCHAIN.reads}\ntar -cf - ${fixed} ${packed} | gzip -n1 >${ARCHIVE}` },
  ];
}

/** Steps that lay out a toolchain that was packed, all of it newer than what it was made from, as make wants it. */
export function restoreSteps({ keep, stubs }: Toolchain): Step[] {
  const all = [...stubs, ...keep].join(' ');
  const run = `tar -xzf ${ARCHIVE} --no-same-owner\nrm ${ARCHIVE}\ntouch .now\nfind ${all} -exec touch -h -r .now {} +`;
  return [{ phase: 'toolchain', run }];
}

/**
 * The command of a container that runs a script below `in`: its output is gathered for up to a fifth of a second,
 * because engine and orchestrator have work with each piece, and a build writes thousands of lines.
 */
export function scriptCommand(name: string): string[] {
  const gather = 'while (my $n = sysread STDIN, my $text, 65536) { syswrite STDOUT, $text; select undef, undef, undef, 0.2 if $n < 32768 }';
  const status = `/cell/tmp/${name}.status`;
  const run = `{ sh /cell/in/${name} && code=0 || code=$?; echo "$code" >${status}; } 2>&1 | perl -e '${gather}'`;
  return ['sh', '-c', `mkdir -p /cell/tmp && ${run}; exit "$(cat ${status} || echo 137)"`];
}

/** The environment of a cell's containers: what is the same for all, and the recipe's. `JOBS`, which never changes the output, comes to it. */
export function buildEnvironment({ env }: Pick<Recipe, 'env'>): Record<string, string> {
  return { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/cell', TMPDIR: '/cell/tmp', ...env };
}
