import { readFileSync } from 'node:fs';

/**
 * What tells a process from a later one with the same number: its start time from /proc/<pid>/stat (proc(5), field 22).
 * Where there is no /proc, "0" for a number that is in use. undefined where there is no such process.
 */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    if (process.platform === 'linux') return undefined;
    try {
      process.kill(pid, 0);
      return '0';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM' ? '0' : undefined;
    }
  }
}
