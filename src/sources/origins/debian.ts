import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DebianFile } from '../../catalog/types.ts';
import { isDiskFull, SourceError } from '../../errors.ts';
import { besides, ifThere, writeFileAtomic } from '../../util/files.ts';
import { sha256, sha256File } from '../../util/hash.ts';
import { run } from '../../util/process.ts';
import type { AptProxy } from './apt.ts';
import { findSourceFile, parseRelease } from './debian-index.ts';
import { type DownloadOptions, download, HttpStatus, publicUrl } from './download.ts';

/** Of the package debian-archive-keyring; the second name is that of Debian 13 and later. */
const KEYRINGS = ['/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/debian-archive-keyring.pgp'];

/** What fetching from Debian's archive needs. */
export interface DebianContext extends DownloadOptions {
  /** Folder for indices; they are kept by their checksum. */
  cache: string;
  /** Base URLs of mirrors, in order. */
  mirrors: string[];
  warn: (text: string) => void;
  /** The present time in milliseconds; for Valid-Until. */
  now: number;
  /** Path of the keyring that InRelease must be signed with; Debian's own where not given. */
  keyring?: string;
  /** How each URL is reached, as apt does. */
  aptProxy?: AptProxy;
  /** True where a pin of our own proves the file anyway: then an expired index is only a warning. */
  pinned: boolean;
}

/** Path of Debian's keyring on this machine; undefined where its package is not installed. */
export async function debianKeyring(): Promise<string | undefined> {
  for (const path of KEYRINGS) if (await ifThere(stat(path))) return path;
  return undefined;
}

/** The keyring that Debian's indices must be signed with. @throws SourceError DEBIAN_UNVERIFIED where it is not there */
async function keyringOf({ keyring }: DebianContext): Promise<string> {
  const path = keyring === undefined ? await debianKeyring() : (await ifThere(stat(keyring))) && keyring;
  if (path !== undefined) return path;
  // The package is in the message, too: where several origins failed, hints are not shown.
  throw new SourceError(
    'DEBIAN_UNVERIFIED',
    "Debian's keyring is not on this machine (package debian-archive-keyring): files from a Debian mirror cannot be verified without it",
    {
      expected: keyring ?? KEYRINGS.join(' or '),
      hint: 'apt-get install debian-archive-keyring',
    },
  );
}

/** Bytes of an unpacked index. Debian's main archive has some 60 MB. */
const LONGEST_INDEX = 2 ** 28;

/** The programs that read Debian's indices, and the packages that have them. */
const TOOLS = { gpgv: 'gpgv', xz: 'xz-utils' } as const;

/** Run such a program. @throws SourceError DEBIAN_UNVERIFIED where it cannot be started */
function runTool(tool: keyof typeof TOOLS, args: readonly string[]) {
  return run(tool, args, { limit: LONGEST_INDEX }).catch((error: Error) => {
    throw new SourceError('DEBIAN_UNVERIFIED', `${tool} cannot be run (package ${TOOLS[tool]}): ${error.message}`, {
      hint: `apt-get install ${TOOLS[tool]}`,
    });
  });
}

/** Download as apt would. */
async function reach(url: string, file: string, context: DebianContext): Promise<void> {
  await download(url, file, { ...context, proxy: await context.aptProxy?.(url) });
}

/** Fetch a small file into memory through a file in the cache. */
async function fetchText(url: string, context: DebianContext): Promise<Buffer> {
  await mkdir(context.cache, { recursive: true });
  const file = besides(join(context.cache, 'index'));
  try {
    await reach(url, file, { ...context, limit: 100 * 2 ** 20, onProgress: undefined });
    return await readFile(file);
  } finally {
    await rm(file, { force: true });
  }
}

/** The content of an InRelease file, once a key of the keyring has signed it. */
async function verifiedRelease(bytes: Buffer, context: DebianContext, where: string): Promise<string> {
  const keyring = await keyringOf(context);
  const file = besides(join(context.cache, 'InRelease'));
  try {
    await writeFile(file, bytes);
    const answer = await runTool('gpgv', ['--status-fd', '2', '--keyring', keyring, '--output', '-', file]);
    // Suites are signed by several keys, of which an older keyring may lack one: one good signature is enough,
    // a bad one never. VALIDSIG alone also stands for a revoked or expired key; GOODSIG does not.
    if (
      !/^\[GNUPG:\] GOODSIG /m.test(answer.stderr) ||
      !/^\[GNUPG:\] VALIDSIG /m.test(answer.stderr) ||
      /^\[GNUPG:\] BADSIG /m.test(answer.stderr)
    ) {
      throw new SourceError('DEBIAN_UNVERIFIED', `${where}/InRelease is not signed by a key of ${keyring}`, {
        hint: 'apt-get install --only-upgrade debian-archive-keyring',
      });
    }
    return answer.stdout.toString('utf8');
  } finally {
    await rm(file, { force: true });
  }
}

/** A Sources index, unpacked and checked; kept in the cache by its checksum. */
async function sourcesIndex(mirror: string, suite: string, context: DebianContext): Promise<string> {
  const base = `${mirror}/dists/${suite}`;
  const shown = publicUrl(base);
  const release = parseRelease(await verifiedRelease(await fetchText(`${base}/InRelease`, context), context, shown));
  // The signature is as good for every other suite of the archive: also for an older one, put in the place of this.
  if (release.suite !== suite && release.codename !== suite)
    throw new SourceError('DEBIAN_UNVERIFIED', `${shown}/InRelease is that of another suite`, {
      expected: `suite ${suite}`,
      got: `suite ${release.suite || '(none)'}, codename ${release.codename || '(none)'}`,
      hint: 'use another mirror',
    });
  if (release.validUntil !== undefined && release.validUntil < context.now) {
    const text = `${shown}/InRelease expired on ${new Date(release.validUntil).toISOString().slice(0, 10)}`;
    if (!context.pinned) throw new SourceError('DEBIAN_UNVERIFIED', text, { hint: 'use a mirror that is up to date' });
    context.warn(`${text}; the file is proved by our own pin all the same`);
  }
  const name = 'main/source/Sources.xz';
  const entry = release.files.get(name);
  if (!entry) throw new SourceError('DEBIAN_UNVERIFIED', `${shown} lists no ${name}`);
  const cached = join(context.cache, `${entry.sha256}.xz`);
  if (!(await ifThere(stat(cached))) || (await sha256File(cached)) !== entry.sha256) {
    const url = release.byHash ? `${base}/main/source/by-hash/SHA256/${entry.sha256}` : `${base}/${name}`;
    const bytes = await fetchText(url, context);
    if (sha256(bytes) !== entry.sha256)
      throw new SourceError('DEBIAN_UNVERIFIED', `${publicUrl(url)} is not what InRelease says`, {
        expected: `sha256 ${entry.sha256}`,
        got: `sha256 ${sha256(bytes)}`,
      });
    await writeFileAtomic(cached, bytes);
  }
  const answer = await runTool('xz', ['-dc', '-T1', '--memlimit-decompress=100MiB', cached]);
  if (answer.code !== 0) throw new SourceError('DEBIAN_UNVERIFIED', `${name} cannot be unpacked: ${answer.stderr.trim()}`);
  return answer.stdout.toString('utf8');
}

/**
 * Fetch one file of a Debian source package: InRelease checked with gpgv and Debian's keyring, by-hash to the Sources
 * index, and the pool file by the SHA-256 that stands there.
 *
 * @returns the suite and package version that the file was found under
 * @throws SourceError SOURCE_UNAVAILABLE with what each mirror and suite answered; SOURCE_MISMATCH or DEBIAN_UNVERIFIED
 *   with the same where a checksum or signature of one of them failed; STORE_DISK_FULL
 */
export async function debianFile(origin: DebianFile, file: string, context: DebianContext): Promise<{ suite: string; version: string }> {
  if (context.mirrors.length === 0) {
    throw new SourceError('SOURCE_UNAVAILABLE', 'no Debian mirror is known on this machine', {
      hint: 'set debianMirror in the configuration or PVGRUB_DEBIAN_MIRROR',
    });
  }
  // Before anything is fetched.
  await keyringOf(context);
  for (const tool of ['gpgv', 'xz'] as const) await runTool(tool, ['--version']);
  const answers: string[] = [];
  /** Errors of mirrors that did not answer; they are listed last. */
  const silences: SourceError[] = [];
  let unverified: SourceError | undefined;
  for (const mirror of context.mirrors) {
    for (const suite of origin.suites) {
      try {
        // A mirror that comes after one that answered gets fewer tries.
        const patience = answers.length > 0 ? { ...context, retries: Math.min(context.retries ?? 1, 1) } : context;
        const [entry] = findSourceFile(await sourcesIndex(mirror, suite, patience), origin.package, origin.file);
        if (!entry) {
          answers.push(`${suite} does not list it`);
          continue;
        }
        await reach(`${mirror}/${entry.directory}/${entry.name}`, file, context);
        const got = await sha256File(file);
        if (got === entry.sha256) return { suite, version: entry.version };
        await rm(file, { force: true });
        throw new SourceError('SOURCE_MISMATCH', `${entry.name} is not what ${suite}'s Sources index says`, {
          expected: `sha256 ${entry.sha256}`,
          got: `sha256 ${got}`,
        });
      } catch (error) {
        if (isDiskFull(error))
          throw new SourceError('STORE_DISK_FULL', `no room left for Debian's indices in ${context.cache}`, {
            hint: 'make room there, or set XDG_CACHE_HOME to another folder',
            cause: error,
          });
        if (!(error instanceof SourceError) || error.code === 'STORE_DISK_FULL' || error.code === 'SOURCE_TOO_LARGE') throw error;
        if (error.code === 'DEBIAN_UNVERIFIED' || error.code === 'SOURCE_MISMATCH') unverified = error;
        // A mirror that does not answer has no other suite either.
        if (error.code === 'DOWNLOAD_FAILED' && !(error.cause instanceof HttpStatus)) {
          silences.push(error);
          break;
        }
        answers.push(`${suite}: ${error.message}`);
      }
    }
  }
  const said = [...new Set([...answers, ...silences.map(({ message }) => message)])];
  if (unverified && said.length === 1) throw unverified;
  if (unverified) {
    const { code, expected, got, hint } = unverified;
    throw new SourceError(code, said.join('; '), {
      ...(expected === undefined ? {} : { expected }),
      ...(got === undefined ? {} : { got }),
      ...(hint === undefined ? {} : { hint }),
      cause: unverified,
    });
  }
  const hint = silences[0]?.hint ?? 'set debianMirror in the configuration or PVGRUB_DEBIAN_MIRROR';
  throw new SourceError('SOURCE_UNAVAILABLE', said.join('; '), answers.length === 0 ? { hint } : {});
}
