import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compress, digest } from './tar-maker.ts';

/** An OpenPGP key of the test's own, with its keyring as gpgv wants it. */
export interface TestKey {
  keyring: string;
  clearsign: (text: string) => string;
  gpg: (args: string[], input?: string) => Buffer;
  /** Stop the agent that gpg started; its folder could not be removed otherwise. */
  stop: () => void;
}

/** Whether gpg and gpgv are on this machine. */
export function hasGpg(): boolean {
  try {
    for (const tool of ['gpg', 'gpgv']) execFileSync(tool, ['--version'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

export function makeKey(folder: string, name: string): TestKey {
  const home = join(folder, `gpg-${name}`);
  mkdirSync(home, { mode: 0o700 });
  const keyring = join(folder, `${name}.gpg`);
  const gpg = (args: string[], input = '') =>
    execFileSync('gpg', ['--homedir', home, '--batch', '--quiet', '--yes', '--pinentry-mode', 'loopback', '--passphrase', '', ...args], {
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  gpg(['--quick-generate-key', `${name} <${name}@example.org>`, 'ed25519', 'sign', 'never']);
  writeFileSync(keyring, gpg(['--export']));
  return {
    keyring,
    clearsign: (text) => gpg(['--clearsign'], text).toString(),
    gpg,
    stop: () => execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'], { stdio: 'pipe' }),
  };
}

/** A source package's file as a mirror has it. */
export interface PoolFile {
  package: string;
  version: string;
  file: string;
  bytes: Uint8Array;
}

/** What a mirror serves: path to content. Tests change it to make it lie. */
export type Mirror = Map<string, Uint8Array>;

/** Put a suite with these source packages on a mirror, signed by a key. */
export function addSuite(
  mirror: Mirror,
  suite: string,
  key: TestKey,
  files: PoolFile[],
  options: { validUntil?: Date; byHash?: boolean } = {},
): void {
  const sources = files
    .map(({ package: name, version, file, bytes }) => {
      const directory = `pool/main/${name[0]}/${name}`;
      mirror.set(`/${directory}/${file}`, bytes);
      return [
        `Package: ${name}`,
        `Binary: ${name}-one,`,
        ` ${name}-two`,
        `Version: ${version}`,
        'Checksums-Sha256:',
        ` ${'0'.repeat(64)} 1 ${name}_${version}.dsc`,
        ` ${digest('sha256', bytes)} ${bytes.length} ${file}`,
        `Directory: ${directory}`,
        '',
      ].join('\n');
    })
    .join('\n');
  const index = compress('xz', Buffer.from(sources));
  const sum = digest('sha256', index);
  const byHash = options.byHash ?? true;
  mirror.set(byHash ? `/dists/${suite}/main/source/by-hash/SHA256/${sum}` : `/dists/${suite}/main/source/Sources.xz`, index);
  const release = [
    'Origin: Test',
    `Codename: ${suite}`,
    ...(options.validUntil ? [`Valid-Until: ${options.validUntil.toUTCString()}`] : []),
    ...(byHash ? ['Acquire-By-Hash: yes'] : []),
    'SHA256:',
    ` ${'1'.repeat(64)} 10 main/binary-amd64/Packages.xz`,
    ` ${sum} ${index.length} main/source/Sources.xz`,
    '',
  ].join('\n');
  mirror.set(`/dists/${suite}/InRelease`, Buffer.from(key.clearsign(release)));
}
