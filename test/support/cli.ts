import { spawn } from 'node:child_process';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

/** How a call of the command line ended. */
export interface Called {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Call the command line as a user would, without a terminal. */
export function pvgrub(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; program?: string[] } = {},
): Promise<Called> {
  const [command = process.execPath, ...before] = options.program ?? [process.execPath, join(root, 'src/cli/main.ts')];
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...before, ...args], {
      cwd: options.cwd ?? root,
      env: { ...process.env, NO_COLOR: '1', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
