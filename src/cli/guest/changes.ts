import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff';
import { printable, UsageError } from '../../errors.ts';
import { saveWithBackup } from '../../guest/menu/save.ts';
import type { Encoding } from '../../guest/text.ts';
import { print } from '../context.ts';

/** How a changed file is given out. */
export interface OutputOptions {
  diff?: boolean;
  print?: boolean;
  write?: boolean;
}

/** A file before and after. */
export interface ChangedFile {
  /** Where it is, or would be. */
  path: string;
  before: string | undefined;
  after: string;
  /** UTF-8 if not said. */
  encoding?: Encoding;
  /** A folder that a link in its place must not lead out of. */
  within?: string;
}

/** @throws UsageError OPTION_INVALID for more than one way */
export function demandOneWay({ diff, print, write }: OutputOptions): void {
  if ([diff, print, write].filter(Boolean).length > 1)
    throw new UsageError('OPTION_INVALID', 'only one of --diff, --print and --write can be meant');
}

/** The difference as a unified diff. */
export function diffText({ path, before, after }: ChangedFile): string {
  return createTwoFilesPatch(before === undefined ? '/dev/null' : path, path, before ?? '', after, undefined, undefined, {
    context: 3,
    headerOptions: FILE_HEADERS_ONLY,
  }).trimEnd();
}

/** The same but for blanks at ends of lines, which update-grub leaves. */
function alike(a: string | undefined, b: string): boolean {
  const plain = (text: string) => text.split('\n').map((line) => line.trimEnd());
  return a !== undefined && plain(a).join('\n') === plain(b).join('\n');
}

/** Show what would change, print the files whole, or write them with a backup. */
export async function giveOut(files: readonly ChangedFile[], options: OutputOptions): Promise<void> {
  for (const file of files) {
    const { path, before, after, within, encoding = 'utf8' } = file;
    if (options.print) {
      if (files.length > 1) print(`### ${path}`);
      process.stdout.write(Buffer.from(after, encoding));
    } else if (alike(before, after)) print(`${path}: right as it is`);
    else if (options.write) {
      const backup = await saveWithBackup(path, Buffer.from(after, encoding), within);
      print(`${path}: written${backup === undefined ? '' : `; what was there is kept as ${backup}`}`);
    } else print(printable(diffText(file)));
  }
  if (!options.print && !options.write && files.some(({ before, after }) => !alike(before, after)))
    process.stderr.write('pvgrub: nothing is written; --write does it, with a backup\n');
}
