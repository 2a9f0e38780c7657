import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadCatalog, productRoot } from '../src/catalog/load.ts';
import { isVersion } from '../src/catalog/version.ts';
import { miniOsRevision, type ReleaseFacts, securityUntil, withRelease } from './release-data.ts';

/**
 * Add a release of Xen to catalog/xen.json and catalog/mini-os.json, from git repositories that have its tags.
 *
 *   node scripts/add-release.ts --git /srv/mirror/xen.git [--mini-os-git /srv/mirror/mini-os.git] [--data DIR] VERSION…
 */

const { values, positionals } = parseArgs({
  options: { git: { type: 'string' }, 'mini-os-git': { type: 'string' }, data: { type: 'string' } },
  allowPositionals: true,
});
const folder = values.data ?? join(productRoot, 'catalog');

/** What git prints; undefined where it fails. */
function git(repository: string, ...args: string[]): string | undefined {
  try {
    return execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 26 });
  } catch {
    return undefined;
  }
}

const commitOf = (repository: string, revision: string) =>
  git(repository, 'rev-parse', '--verify', '--quiet', `${revision}^{commit}`)?.trim();

function read(version: string, repository: string, miniOs: string | undefined): ReleaseFacts {
  if (!isVersion(version)) throw new Error(`"${version}" is not a version; expected one such as 4.17.5`);
  const tag = `RELEASE-${version}`;
  const commit = commitOf(repository, tag);
  if (commit === undefined) throw new Error(`${repository} has no tag ${tag}: fetch it, or name another repository`);
  const seconds = Number(git(repository, 'show', '-s', '--format=%ct', commit));
  const revision = miniOsRevision(git(repository, 'show', `${commit}:Config.mk`) ?? '');
  const until = securityUntil(git(repository, 'show', `${commit}:SUPPORT.md`) ?? '');
  const behind = revision && (/^[0-9a-f]{40}$/.test(revision) ? revision : miniOs && commitOf(miniOs, revision));
  return {
    version,
    date: new Date(seconds * 1000).toISOString().slice(0, 10),
    commit,
    ...(until ? { securityUntil: until } : {}),
    ...(revision ? { miniOs: { revision, ...(behind ? { commit: behind } : {}) } } : {}),
  };
}

try {
  if (values.git === undefined || positionals.length === 0)
    throw new Error('expected --git REPOSITORY and versions: node scripts/add-release.ts --git /srv/mirror/xen.git 4.23.0');
  let catalog: Pick<ReturnType<typeof loadCatalog>, 'xen' | 'miniOs'> = loadCatalog(folder);
  for (const version of positionals) {
    const facts = read(version, values.git, values['mini-os-git']);
    catalog = withRelease(catalog, facts);
    const { miniOs } = facts;
    const tree = miniOs
      ? `Mini-OS ${miniOs.revision}${miniOs.commit ? `, ${miniOs.commit}` : ', commit not known: give --mini-os-git'}`
      : 'Mini-OS in its tree';
    console.log(`${version}: ${facts.date}, ${facts.commit}, ${tree}`);
  }
  const write = (name: string, part: object) => {
    const { what } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { what: string };
    writeFileSync(join(folder, name), `${JSON.stringify({ what, ...part }, null, 2)}\n`);
  };
  write('xen.json', catalog.xen);
  write('mini-os.json', catalog.miniOs);
  console.log('written; next: npm run format, and docs/adding-a-version.md');
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
