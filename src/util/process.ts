import { spawn } from 'node:child_process';

/** How a program ended, and what it printed. */
export interface RunResult {
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

/** Environment and abort signal of a program. */
export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  /** Bytes that it may print. One that prints more is killed, and its end counts as a failure. */
  limit?: number;
}

/**
 * Run a host program to its end and give its exit code and output; never through a shell.
 * Throws only where the program cannot be started (ENOENT) or the signal aborts it.
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: options.env ?? process.env,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let room = options.limit ?? Number.POSITIVE_INFINITY;
    const into = (chunks: Buffer[]) => (chunk: Buffer) => {
      room -= chunk.length;
      if (room >= 0) chunks.push(chunk);
      else child.kill('SIGKILL');
    };
    child.stdout.on('data', into(out));
    child.stderr.on('data', into(err));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString('utf8') }));
  });
}
