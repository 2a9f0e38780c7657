import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Programs of Debian that judge what we write. As root on Debian a missing one is installed; elsewhere its tests are skipped. */

const there = (command: string) => {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/**
 * Whether a program, or a file where the name is a path, is there, once its package is installed where that can be.
 * Not having it is told, so that a skipped test is seen.
 */
export function hasJudge(command: string, pack = command): boolean {
  const found = () => (command.startsWith('/') ? existsSync(command) : there(command));
  if (found()) return true;
  if (process.getuid?.() === 0 && there('apt-get')) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const get = (...args: string[]) => execFileSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], { stdio: 'pipe', env });
    try {
      try {
        get('install', '-y', '--no-install-recommends', pack);
      } catch {
        get('update');
        get('install', '-y', '--no-install-recommends', pack);
      }
    } catch (error) {
      process.stderr.write(`${pack} cannot be installed: ${(error as Error).message}\n`);
    }
  }
  if (!found()) process.stderr.write(`*** tests that ${pack} judges are skipped: it is not installed ***\n`);
  return found();
}
