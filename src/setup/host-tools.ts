import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** The programs of the host that are used beside Node, what for, and the Debian package that has each. The only list. */
export const HOST_TOOLS = [
  { command: 'git', package: 'git', purpose: 'git origins' },
  { command: 'xz', package: 'xz-utils', purpose: "checking .tar.xz sources and reading Debian's indices" },
  { command: 'bzip2', package: 'bzip2', purpose: 'checking .tar.bz2 sources' },
  { command: 'gpgv', package: 'gpgv', purpose: "checking the signature of Debian's archive" },
  { command: 'mmdebstrap', package: 'mmdebstrap', purpose: 'making the base image where no registry answers' },
] as const;

/** Path of a program as a shell would find it; undefined where there is none. */
export async function which(command: string, env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  const folders = [...(env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'].filter(Boolean);
  for (const folder of folders) {
    const path = join(folder, command);
    if (
      await access(path, constants.X_OK)
        .then(() => stat(path))
        .then(
          (found) => found.isFile(),
          () => false,
        )
    )
      return path;
  }
  return undefined;
}

/** Those of the host tools that are missing. */
export async function missingTools(): Promise<(typeof HOST_TOOLS)[number][]> {
  const found = await Promise.all(HOST_TOOLS.map((tool) => which(tool.command)));
  return HOST_TOOLS.filter((_, i) => found[i] === undefined);
}
