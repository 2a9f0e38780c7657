import { readFile } from 'node:fs/promises';
import { formatBytes } from '../config/units.ts';
import { UsageError } from '../errors.ts';
import { type Inspection, inspectImage } from '../inspect/inspect.ts';
import { print, printJson } from './context.ts';

function describe(file: string, inspection: Inspection): string {
  const { size, sha256, gzip, elf, xen } = inspection;
  const lines = [`${file}: ${inspection.summary}`, `  size     ${formatBytes(size)} (${size} bytes)`, `  sha256   ${sha256}`];
  if (gzip)
    lines.push(
      `  gzip     ${gzip.mtime === 0 ? 'no time' : new Date(gzip.mtime * 1000).toISOString()}${gzip.name === undefined ? '' : `, name ${gzip.name}`}`,
    );
  if (elf)
    lines.push(
      `  ELF      ${elf.bits}-bit ${elf.machine}, entry ${elf.entry}, ${elf.loadSegments} load segments, ${formatBytes(elf.size)} unpacked${elf.debugSections ? ', with debug information' : ''}`,
    );
  if (xen)
    lines.push(
      `  Xen      ${xen.from}: ${Object.entries(xen.info)
        .map(([name, value]) => `${name}=${value}`)
        .join(' ')}`,
    );
  return lines.join('\n');
}

/** `pvgrub inspect`: what files are. Exit code 5 where one is not a loader. */
export async function inspectCommand(files: string[], options: { json?: boolean }): Promise<void> {
  const results: ({ file: string } & Inspection)[] = [];
  for (const file of files) {
    const bytes = await readFile(file).catch((error: Error) => {
      throw new UsageError('FILE_UNREADABLE', `${file} cannot be read: ${error.message}`, { cause: error });
    });
    results.push({ file, ...inspectImage(bytes) });
  }
  if (options.json) printJson(results);
  else for (const { file, ...inspection } of results) print(describe(file, inspection as Inspection));
  if (results.some(({ kind }) => kind !== 'pv-grub' && kind !== 'pvgrub2')) process.exitCode = 5;
}
