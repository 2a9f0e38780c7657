import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** Mount a small file system in memory. @returns what takes it away again; undefined where mounting is not allowed */
export function mountSmall(folder: string, size: string): (() => void) | undefined {
  mkdirSync(folder, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' });
    return () => void execFileSync('umount', [folder]);
  } catch {
    return undefined;
  }
}
