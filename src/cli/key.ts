import { readFile } from 'node:fs/promises';
import { publicKeyLine, publicKeyText } from '../publish/key.ts';
import { generateKey, loadPublicKey } from '../publish/key-files.ts';
import { print } from './context.ts';
import { askPassphrase, signingKey } from './passphrase.ts';
import { secrets } from './secrets.ts';

/** `pvgrub key generate` */
export async function generateCommand({ out }: { out: string }): Promise<void> {
  const key = await generateKey(out, secrets, askPassphrase);
  print(`${out}: the private key, encrypted; keep it and its passphrase apart\n${out}.pub: the public key ${key.id}`);
  print(`\nWhoever has the public key can check what this one signs:\n  ${publicKeyLine(key)}`);
}

/** `pvgrub key show` */
export async function showCommand(file: string | undefined): Promise<void> {
  const isPrivate = file === undefined || (await readFile(file, 'utf8').catch(() => '')).includes('PRIVATE KEY-----');
  const warn = (text: string) => process.stderr.write(`pvgrub: ${text}\n`);
  const key = isPrivate ? (await signingKey(file, warn)).public : await loadPublicKey(file);
  process.stdout.write(publicKeyText(key));
}
