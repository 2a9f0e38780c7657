import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Catalog, External } from '../../src/catalog/types.ts';
import { type Cell, type PlanData, planMatrix } from '../../src/plan/plan.ts';
import { loadEdits } from '../../src/recipes/edits.ts';
import { sha256 } from '../../src/util/hash.ts';

const fixture = join(import.meta.dirname, '../fixtures/stand-in');

/** The stand-in's sources as tarballs in a folder, and a catalog that pins them. */
export interface StandIn {
  /** Folder with the tarballs: a `dir` origin. */
  folder: string;
  data: PlanData;
  cells: (arches?: ('x86_64' | 'x86_32')[]) => Cell[];
  remove: () => void;
}

const EXTERNALS = [
  { name: 'newlib', version: '1.16.0', file: 'newlib-1.16.0.tar.gz', top: 'newlib-1.16.0' },
  { name: 'zlib', version: '1.2.3', file: 'zlib-1.2.3.tar.gz', top: 'zlib-1.2.3' },
  { name: 'pciutils', version: '2.2.9', file: 'pciutils-2.2.9.tar.bz2', top: 'pciutils-2.2.9' },
  { name: 'grub', version: '0.97', file: 'grub-0.97.tar.gz', top: 'grub-0.97' },
];

/** Pack a folder of the fixture with the machine's own tar under another top folder. */
function tarball(folder: string, source: string, top: string, file: string): { sha256: string; sha512: string; size: number } {
  const path = join(folder, file);
  execFileSync('tar', [
    '-caf',
    path,
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--mtime=@0',
    `--transform=s,^\\.,${top},`,
    '-C',
    join(fixture, source),
    '.',
  ]);
  const bytes = readFileSync(path);
  return { sha256: sha256(bytes), sha512: createHash('sha512').update(bytes).digest('hex'), size: bytes.length };
}

/** Make the stand-in's tarballs and catalog in a folder of their own. */
export function makeStandIn(): StandIn {
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-stand-in-'));
  mkdirSync(folder, { recursive: true });
  const xen = tarball(folder, 'xen', 'xen-4.2.5', 'xen-4.2.5.tar.gz');
  const externals: External[] = EXTERNALS.map((entry) => ({
    ...entry,
    ...tarball(folder, entry.name, entry.top, entry.file),
    tarballs: [],
  }));
  const catalog: Catalog = {
    xen: {
      name: 'xen',
      git: 'https://xen.invalid/xen.git',
      tarball: 'https://xen.invalid/xen-{version}.tar.gz',
      key: 'F'.repeat(40),
      series: [{ series: '4.2', securityUntil: '2015-09-17' }],
      releases: [{ version: '4.2.5', date: '2014-09-02', ...xen }],
    },
    miniOs: { name: 'mini-os', git: 'https://xen.invalid/mini-os.git', ranges: [] },
    externals,
    reads: { kernelCompressions: [{ names: ['gzip'] }], fileSystems: [{ names: ['ext2'] }] },
    licences: { sources: { xen: 'GPL-2.0-only', zlib: 'Zlib', newlib: 'words' }, images: { 'pv-grub': 'GPL-2.0-only' } },
    grub2: { name: 'grub2', tarball: 'https://grub.invalid/grub-{version}.tar.xz', releases: [] },
  };
  const trim = readFileSync(join(fixture, '../../../loaders/pv-grub/trim.pl'), 'utf8');
  const data: PlanData = {
    catalog,
    edits: { 'pv-grub': loadEdits(join(fixture, 'edits')), pvgrub2: [] },
    pvgrub2Config: '',
    pvGrub: { trim, members: 'atoi # a member\nmallocr\n' },
  };
  return {
    folder,
    data,
    cells: (arches = ['x86_64']) => planMatrix({ loaders: { 'pv-grub': { versions: ['4.2.5'], arches } }, include: [], exclude: [] }, data),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
