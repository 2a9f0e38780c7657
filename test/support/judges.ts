import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Programs of Debian that judge what we write. As root on Debian a missing one is installed; elsewhere its tests are skipped. */

/** Each with its package: a command, or a file where the name is a path. */
const JUDGES = {
  '/usr/share/perl5/Dpkg/Control.pm': 'libdpkg-perl',
  bsdtar: 'libarchive-tools',
  busybox: 'busybox',
  chromium: 'chromium',
  curl: 'curl',
  'docker-registry': 'docker-registry',
  'dpkg-deb': 'dpkg',
  fish: 'fish',
  htpasswd: 'apache2-utils',
  lintian: 'lintian',
  mke2fs: 'e2fsprogs',
  minisign: 'minisign',
  openssl: 'openssl',
  sfdisk: 'fdisk',
  skopeo: 'skopeo',
  'ssh-keygen': 'openssh-client',
  zsh: 'zsh',
} as const;

/** The name of a judge. */
export type Judge = keyof typeof JUDGES;

const there = (command: string) => {
  if (command.startsWith('/')) return existsSync(command);
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** Install what is missing, in one go, where that can be done. */
export function installJudges(names: readonly Judge[] = Object.keys(JUDGES) as Judge[]): void {
  const missing = names.filter((name) => !there(name)).map((name) => JUDGES[name]);
  if (missing.length === 0 || process.getuid?.() !== 0 || !there('apt-get')) return;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const get = (...args: string[]) => execFileSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], { stdio: 'pipe', env });
  try {
    try {
      get('install', '-y', '--no-install-recommends', ...missing);
    } catch {
      get('update');
      get('install', '-y', '--no-install-recommends', ...missing);
    }
  } catch (error) {
    process.stderr.write(`${missing.join(', ')} cannot be installed: ${(error as Error).message}\n`);
  }
}

/** Whether a judge is there, once it is installed where that can be. Not having it is told, so that a skipped test is seen. */
export function hasJudge(name: Judge): boolean {
  installJudges([name]);
  if (there(name)) return true;
  process.stderr.write(`*** tests that ${JUDGES[name]} judges are skipped: it is not installed ***\n`);
  return false;
}
