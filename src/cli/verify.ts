import { quote } from '../build/scripts.ts';
import { stateFolder } from '../config/settings.ts';
import { UsageError } from '../errors.ts';
import { verifyCommands } from '../publish/commands.ts';
import { publicKeyLine } from '../publish/key.ts';
import { loadPublicKey } from '../publish/key-files.ts';
import { placeAt } from '../pull/place.ts';
import { recall } from '../pull/seen.ts';
import { provenLine, verifyPublication } from '../pull/verify.ts';
import { verifyFile } from '../pull/verify-file.ts';
import { statOf } from '../util/files.ts';
import { print, printJson } from './context.ts';
import { interruptSignal } from './interrupt.ts';

/** Options of `pvgrub verify`. */
export interface VerifyOptions {
  key?: string;
  json?: boolean;
}

/** The public key of an option. @throws UsageError KEY_MISSING, KEY_INVALID */
export async function publicKeyOf(key: string | undefined) {
  if (key !== undefined) return loadPublicKey(key);
  throw new UsageError('KEY_MISSING', 'whose signature it must be is not said', {
    hint: "--key <public key>: the publisher's .pub file, or the line in it that begins with RW",
  });
}

/** `pvgrub verify`: whether a publication, or a file, is what its signatures say. Loads no configuration. */
export async function verifyCommand(what: string, options: VerifyOptions): Promise<void> {
  const key = await publicKeyOf(options.key);
  const isFile = !/^(https?|oci):\/\//.test(what) && !((await statOf(what))?.isDirectory() ?? false);
  if (isFile) {
    const found = await verifyFile(what, key);
    if (options.json) return printJson(found);
    print(`${what}: signed by ${key.id} as ${found.comment}${found.provenance ? ', and its provenance is of this image' : ''}`);
    print(`the same by hand:\n  minisign -Vm ${quote(what)} -P ${publicKeyLine(key)}`);
    return;
  }
  const signal = interruptSignal((text) => process.stderr.write(`${text}\n`));
  const place = await placeAt(what);
  // What a folder of one's own had before does not matter: a publisher may go back in it.
  const memory = place.remote ? await recall(stateFolder(), key) : undefined;
  const found = await verifyPublication(place, { key, seen: (name) => memory?.of(name), now: new Date() }, signal);
  memory?.demandSame(place.name, found.index.publication);
  await memory?.keep(place.name, found);
  if (options.json) {
    const { publication, serial, expires, images } = found.index;
    return printJson({ publication, serial, expires, sha256: found.sha256, strays: found.strays, images: images.map(({ id }) => id) });
  }
  print(`${place.name}: ${provenLine(found)}`);
  if (!what.startsWith('oci:')) print(`the same by hand, in that folder, with bash:\n  ${verifyCommands(found.index).join('\n  ')}`);
}
