import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { InterruptedError } from '../errors.ts';
import type { SigningKey } from '../publish/key.ts';
import { loadSigningKey } from '../publish/key-files.ts';
import { secrets } from './secrets.ts';

/** Ask for a passphrase on the terminal, without showing it; undefined where there is no terminal. */
export async function askPassphrase(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: unseen, terminal: true });
  process.stderr.write(question);
  try {
    return await new Promise((resolve, reject) => {
      terminal.on('SIGINT', () => reject(new InterruptedError()));
      terminal.on('close', () => resolve(undefined));
      terminal.question('').then(resolve, reject);
    });
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}

/** The key to sign with: of a file, else of the environment. */
export function signingKey(file: string | undefined, warn: (text: string) => void): Promise<SigningKey> {
  return loadSigningKey(file, secrets, askPassphrase, warn);
}
