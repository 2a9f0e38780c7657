import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

/** How a program ended, and what it printed. */
export interface RunResult {
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

/** Input, environment, folder and abort signal of a program. */
export interface RunOptions {
  input?: Readable | Uint8Array;
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  cwd?: string;
}

/**
 * Run a host program to its end and give its exit code and output; never through a shell.
 * Throws only where the program cannot be started (ENOENT) or the signal aborts it.
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: options.env ?? process.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString('utf8') }));
    // A program that ends before it has read all its input closes the pipe: its exit code tells, not EPIPE.
    child.stdin.on('error', () => {});
    if (options.input === undefined) child.stdin.end();
    else if (options.input instanceof Uint8Array) child.stdin.end(options.input);
    else options.input.on('error', (error) => child.stdin.destroy(error)).pipe(child.stdin);
  });
}
