import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildCell } from '../../src/build/cell.ts';
import { loadCatalog, productRoot } from '../../src/catalog/load.ts';
import { grub2Source, knownVersions } from '../../src/catalog/resolve.ts';
import type { SourceRef } from '../../src/catalog/types.ts';
import { settle } from '../../src/config/settings.ts';
import { ensureBuildImage } from '../../src/engine/build-image.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { ownerLabels, thisOwner } from '../../src/engine/labels.ts';
import { Shelf } from '../../src/engine/shelf.ts';
import type { Cell } from '../../src/plan/plan.ts';
import { applyEdits, editedFiles, loadEdits, selectEdits } from '../../src/recipes/edits.ts';
import type { Step } from '../../src/recipes/types.ts';
import { readTarFiles } from '../../src/sources/archive-read.ts';
import { ensureSource } from '../../src/sources/fetch.ts';
import { debianMirrors } from '../../src/sources/origins/debian-mirrors.ts';
import { Store, type StoredSource } from '../../src/sources/store.ts';
import { leftovers, testEngine } from '../support/run-stand-in.ts';

// Debian's mirror has real Xen sources (without Mini-OS and stubdom's packages) and a newlib: our edits and the first
// steps of the real recipe are run on them, as far as they go.
const XEN: Record<'4.14.6' | '4.17.5', SourceRef> = {
  '4.14.6': debianSource(
    'xen',
    '4.14.6',
    'xen-4.14.6',
    { package: 'xen', file: 'xen_4.14.6.orig.tar.xz', suites: ['bullseye'] },
    '6365e5435b9a18dbce3433ec27e5409d2b1a421d5f6aacfb06833f15d3d9aedd',
  ),
  '4.17.5': debianSource(
    'xen',
    '4.17.5',
    'xen-4.17.5+72-g01140da4e8',
    { package: 'xen', file: 'xen_4.17.5+72-g01140da4e8.orig.tar.xz', suites: ['bookworm'] },
    '53922f4d0a02c577f2ea9d63f65989cd88715779eebeed879ca1d314103ee06e',
  ),
};
const NEWLIB = debianSource(
  'newlib',
  '3.3.0',
  'newlib-3.3.0',
  { package: 'newlib', file: 'newlib_3.3.0.orig.tar.gz', suites: ['bookworm'] },
  '58dd9e3eaedf519360d92d84205c3deef0b3fc286685d1c562e245914ef72c66',
);

function debianSource(
  name: string,
  version: string,
  top: string,
  file: { package: string; file: string; suites: string[] },
  sha256: string,
): SourceRef {
  return { name, version, file: file.file, top, pins: { sha256 }, origins: [{ type: 'debian', ...file }] };
}

const mirrors = await debianMirrors(undefined);
const folder = mkdtempSync(join(tmpdir(), 'pvgrub-real-'));
const store = new Store(join(folder, 'store'));
const settings = settle({ config: {}, overrides: { store: store.folder }, env: {}, cwd: folder });
const fetch = (ref: SourceRef): Promise<StoredSource> => ensureSource(ref, { store, settings, cwd: folder });
const edits = { 'pv-grub': loadEdits(join(productRoot, 'edits/pv-grub')), pvgrub2: loadEdits(join(productRoot, 'edits/pvgrub2')) };

let engine: Engine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Run steps in the real build image on a real Xen tree, with all edits that cover it. Gives the folder with outputs and log. */
async function buildReal(version: keyof typeof XEN, steps: Step[], outputs: string[], more: SourceRef[] = []): Promise<string> {
  const labels = ownerLabels(thisOwner('real-sources'));
  const image = await ensureBuildImage(engine, { settings, labels, say: () => {} });
  const sources = [XEN[version], ...more];
  const cell: Cell = {
    id: `pv-grub-${version}-x86_64`,
    loader: 'pv-grub',
    version,
    arch: 'x86_64',
    recipe: {
      sources,
      placements: sources.map(({ name }) => ({ source: name, unpack: name === 'xen' ? '.' : name })),
      edits: selectEdits(edits['pv-grub'], version, 'x86_64').filter((edit) => edit.source === 'xen'),
      env: { LC_ALL: 'C', TZ: 'UTC', XEN_TARGET_ARCH: 'x86_64', WGET: '/bin/false' },
      files: {},
      steps,
      outputs: outputs.map((file) => ({ file, role: 'debug' })),
      reads: { kernelCompressions: [], fileSystems: [] },
      warnings: [],
    },
  };
  const stored = new Map(await Promise.all(sources.map(async (ref) => [ref.name, await fetch(ref)] as const)));
  const staging = mkdtempSync(join(folder, 'staging-'));
  const shelf = new Shelf(engine, image.id, labels, () => {});
  await buildCell(cell, stored, staging, {
    engine,
    shelf,
    image,
    labels,
    limits: settings.limits,
    jobs: 2,
    inMemory: true,
    onPhase: () => {},
    warn: () => {},
  });
  await shelf.remove();
  expect(await leftovers(engine)).toEqual({ containers: 0, volumes: 0 });
  return staging;
}

const FIRST_STEPS: Step[] = [
  { phase: 'configure', run: './configure --disable-xen --disable-tools --disable-docs --disable-stubdom' },
  { phase: 'configure', run: 'cd stubdom && ./configure --enable-pv-grub --disable-ioemu-stubdom' },
  { phase: 'headers', run: 'make PYTHON=python3 -C tools/include' },
  { phase: 'headers', run: 'cp -L tools/include/xen/libelf/libelf.h tools/include/xen-foreign/x86_64.h config/Stubdom.mk ../out/' },
];
const libraries = (xenctrl: string): Step[] => [
  {
    phase: 'libraries',
    run: 'for l in toolcore toollog evtchn gnttab call foreignmemory devicemodel; do make -j"$JOBS" PYTHON=python3 nosharedlibs=y -C tools/libs/$l libxen$l.a; done',
  },
  {
    phase: 'libraries',
    run: `make -j"$JOBS" PYTHON=python3 nosharedlibs=y -C ${xenctrl} libxenctrl.a && cp ${xenctrl}/libxenctrl.a ../out/`,
  },
];
const newlib: Step[] = [
  {
    phase: 'newlib',
    run: "mkdir ../newlib && cd ../newlib && CC_FOR_TARGET='gcc -m64 -mno-red-zone -O1 -fno-pie -fno-stack-protector -mincoming-stack-boundary=3' AR_FOR_TARGET=ar AS_FOR_TARGET=as LD_FOR_TARGET=ld RANLIB_FOR_TARGET=ranlib ../src/newlib/configure --prefix=/cell/cross --target=x86_64-xen-elf --disable-multilib --disable-libgloss",
  },
  {
    phase: 'newlib',
    run: 'cd ../newlib && make -j"$JOBS" MAKEINFO=: all-target-newlib && make MAKEINFO=: install-target-newlib && cp /cell/cross/x86_64-xen-elf/lib/libc.a ../out/',
  },
];
const symbols = (file: string) =>
  execFileSync('nm', ['--defined-only', file], { encoding: 'utf8', maxBuffer: 2 ** 26, stdio: ['ignore', 'pipe', 'ignore'] });

describe.skipIf(mirrors.length === 0)("real sources from Debian's mirror", () => {
  test('Xen 4.17.5: edits fit, configure and headers work offline, libxc and a cross newlib compile', async () => {
    const out = await buildReal(
      '4.17.5',
      [...FIRST_STEPS, ...libraries('tools/libs/ctrl'), ...newlib],
      ['libelf.h', 'x86_64.h', 'Stubdom.mk', 'libxenctrl.a', 'libc.a'],
      [NEWLIB],
    );
    expect(readFileSync(join(out, 'Stubdom.mk'), 'utf8')).toMatch(/^STUBDOM_TARGETS\s*:?=.*\bgrub\b/m);
    expect(readFileSync(join(out, 'x86_64.h'), 'utf8')).toContain('start_info');
    expect(symbols(join(out, 'libxenctrl.a'))).toMatch(/ T xc_interface_open$/m);
    expect(symbols(join(out, 'libc.a'))).toMatch(/ T printf$/m);
    expect(readFileSync(join(out, 'build.log'), 'utf8')).toMatch(/^edit tools-mk: /m);
  });

  test('Xen 4.14.6: edits fit, configure and headers work offline, libxc compiles', async () => {
    const out = await buildReal(
      '4.14.6',
      [...FIRST_STEPS, ...libraries('tools/libxc')],
      ['libelf.h', 'x86_64.h', 'Stubdom.mk', 'libxenctrl.a'],
    );
    expect(readFileSync(join(out, 'libelf.h'), 'utf8')).toContain('elf_init');
    expect(symbols(join(out, 'libxenctrl.a'))).toMatch(/ T xc_interface_open$/m);
  });

  test('each edit of Xen that covers these releases matches its count, and an edit of another range does not', async () => {
    for (const version of ['4.14.6', '4.17.5'] as const) {
      const { path } = await fetch(XEN[version]);
      const covering = selectEdits(edits['pv-grub'], version, 'x86_64').filter((edit) => edit.source === 'xen');
      expect(covering.length).toBeGreaterThan(0);
      const names = new Set(edits['pv-grub'].flatMap((edit) => [...editedFiles(edit).changed, ...editedFiles(edit).created]));
      const files = await readTarFiles(path, names);
      expect(applyEdits(covering, files).size).toBeGreaterThan(0);
      const older = edits['pv-grub'].filter((edit) => edit.id === 'mkchecker-python3');
      expect(() => applyEdits(older, files)).toThrow(/does not fit/);
    }
  });

  test('each edit of GRUB 2 matches its count in the releases it covers', async () => {
    const catalog = loadCatalog();
    for (const version of knownVersions(catalog, 'pvgrub2')) {
      const { path } = await fetch(grub2Source(catalog, version).source);
      const covering = selectEdits(edits.pvgrub2, version, 'x86_64');
      expect(covering.length).toBeGreaterThan(0);
      const names = new Set(covering.flatMap((edit) => [...editedFiles(edit).changed, ...editedFiles(edit).created]));
      expect(applyEdits(covering, await readTarFiles(path, names)).size).toBeGreaterThan(0);
    }
  });
});
