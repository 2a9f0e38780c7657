import { access, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { UsageError } from '../errors.ts';
import {
  encryptedPem,
  isEncrypted,
  newKey,
  type PublicKey,
  parsePublicKey,
  parseSigningKey,
  publicKeyText,
  type SigningKey,
} from './key.ts';

/** Keys in files and in the environment. Never in the configuration, never in a message. */

/** Asks for a passphrase; undefined where nobody can be asked. */
export type AskPassphrase = (question: string) => Promise<string | undefined>;

/** The passphrase of the environment, or the one that is asked for. */
async function passphraseFor(env: NodeJS.ProcessEnv, ask: AskPassphrase, question: string): Promise<string | undefined> {
  return env['PVGRUB_KEY_PASSPHRASE'] || (await ask(question));
}

/**
 * Make a key: the private half, encrypted, goes to `file` (readable by its owner alone), the public one to `<file>.pub`.
 * @throws UsageError FILE_THERE where one of them is there, KEY_MISSING without a passphrase
 */
export async function generateKey(file: string, env: NodeJS.ProcessEnv, ask: AskPassphrase): Promise<PublicKey> {
  for (const path of [file, `${file}.pub`])
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      throw new UsageError('FILE_THERE', `${path} is there already; a key is never overwritten`, { hint: 'give another name with --out' });
  let passphrase = env['PVGRUB_KEY_PASSPHRASE'];
  if (!passphrase) {
    passphrase = await ask('Passphrase for the new key: ');
    if (passphrase && (await ask('Once more: ')) !== passphrase)
      throw new UsageError('KEY_INVALID', 'the two passphrases differ', { hint: 'try again' });
  }
  if (!passphrase)
    throw new UsageError('KEY_MISSING', 'a key needs a passphrase', { hint: 'run this on a terminal, or set PVGRUB_KEY_PASSPHRASE' });
  const key = newKey();
  let ours = false;
  try {
    await writeFile(file, encryptedPem(key, passphrase), { flag: 'wx', mode: 0o600 });
    ours = true;
    await writeFile(`${file}.pub`, publicKeyText(key.public), { flag: 'wx' });
  } catch (error) {
    // Half a key is none.
    if (ours) await rm(file, { force: true });
    throw new UsageError('FILE_UNREADABLE', `the key cannot be written: ${(error as Error).message}`, { cause: error });
  }
  return key.public;
}

/**
 * The key to sign with: of the file, else of PVGRUB_KEY, which has a key in PEM as such a file would.
 * @param warn told where others may read the file
 * @throws UsageError KEY_MISSING, KEY_INVALID, FILE_UNREADABLE
 */
export async function loadSigningKey(
  file: string | undefined,
  env: NodeJS.ProcessEnv,
  ask: AskPassphrase,
  warn: (text: string) => void,
): Promise<SigningKey> {
  const inner = env['PVGRUB_KEY'];
  if (file === undefined && !inner)
    throw new UsageError('KEY_MISSING', 'no key to sign with is given', {
      hint: '--key <file>, or PVGRUB_KEY with the key itself; pvgrub key generate --out <file> makes one',
    });
  const where = file ?? 'the key in PVGRUB_KEY';
  const pem = file === undefined ? (inner as string) : await readText(file);
  if (file !== undefined && ((await stat(file)).mode & 0o077) !== 0)
    warn(`${file} can be read by others than its owner: chmod 600 ${file}`);
  const passphrase = isEncrypted(pem) ? await passphraseFor(env, ask, `Passphrase of ${where}: `) : undefined;
  if (isEncrypted(pem) && !passphrase)
    throw new UsageError('KEY_MISSING', `${where} wants a passphrase`, { hint: 'run this on a terminal, or set PVGRUB_KEY_PASSPHRASE' });
  return parseSigningKey(pem, passphrase, where);
}

/** The public key of a file, or the line itself that `key show` prints. @throws UsageError KEY_INVALID, FILE_UNREADABLE */
export async function loadPublicKey(fileOrLine: string): Promise<PublicKey> {
  if (/^RW[A-Za-z0-9+/]{54}$/.test(fileOrLine)) return parsePublicKey(fileOrLine, 'the key given');
  return parsePublicKey(await readText(fileOrLine), fileOrLine);
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError('FILE_UNREADABLE', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
