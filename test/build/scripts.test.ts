import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildEnvironment, buildScript, formatOfName, PHASE_MARK, quote, type Tarball, unpackScript } from '../../src/build/scripts.ts';
import type { Placement, Step } from '../../src/recipes/types.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Run a cell's script with a temporary folder in the place of the container's /cell. */
function runIn(folder: string, script: string): { status: number | null; stdout: string } {
  mkdirSync(join(folder, 'src'), { recursive: true });
  const { status, stdout } = spawnSync('sh', ['-c', script.replaceAll('/cell', folder)], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  });
  return { status, stdout };
}

describe('quote', () => {
  const argument = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0') && text.isWellFormed());

  test('makes one word of any text, as a real shell judges', () => {
    fc.assert(
      fc.property(fc.array(argument, { minLength: 1, maxLength: 20 }), (texts) => {
        // A NUL parts the words: no argument can hold one.
        const out = execFileSync('sh', ['-c', `printf '%s\\0' ${texts.map(quote).join(' ')}`]);
        expect(out.toString('utf8').split('\0').slice(0, -1)).toEqual(texts);
      }),
      { numRuns: 60, examples: [[['', "'", "a'b''c", '$HOME', '`id`', '~', '*', '-n', 'a\nb', '\\', '"', '!x', '#c', 'é']]] },
    );
  });

  test('leaves plain words readable', () => {
    expect(['tools/a.c', '--x=1', 'a b', ''].map(quote)).toEqual(['tools/a.c', '--x=1', "'a b'", "''"]);
  });
});

test.each([
  ['xen-4.17.5.tar.gz', 'gzip'],
  ['polarssl-1.1.4-gpl.tgz', 'gzip'],
  ['pciutils-2.2.9.tar.bz2', 'bzip2'],
  ['grub-2.14.tar.xz', 'xz'],
  ['mini-os.tar', 'tar'],
])('%s promises %s', (name, format) => {
  expect(formatOfName(name)).toBe(format);
});

/** A tar of a top folder with these files. */
function makeTarball(folder: string, name: string, files: Record<string, string>): [string, Tarball] {
  const tree = join(folder, 'make', name);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(tree, file, '..'), { recursive: true });
    writeFileSync(join(tree, file), content);
  }
  mkdirSync(join(folder, 'in'), { recursive: true });
  const file = `${name}.tar`;
  execFileSync('tar', ['-cf', join(folder, 'in', file), '-C', join(folder, 'make'), name]);
  return [name, { file: `/cell/in/${file}`, top: name }];
}

describe('unpackScript', () => {
  test('lays out the tree: sources without their top folder, packages under the name and in the form that is looked for', () => {
    const folder = tempFolder();
    const tarballs = new Map([
      makeTarball(folder, 'xen', { Makefile: 'all:', 'extras/mini-os/old.c': 'old', 'stubdom/Makefile': 'x' }),
      makeTarball(folder, 'mini-os', { 'main.c': 'new' }),
      makeTarball(folder, 'zlib', { 'zlib.h': 'z' }),
      makeTarball(folder, 'pciutils', { 'pci.h': 'p' }),
    ]);
    const placements: Placement[] = [
      { source: 'xen', unpack: '.' },
      { source: 'mini-os', unpack: 'extras/mini-os' },
      { source: 'zlib', as: 'stubdom/zlib-1.tar.gz' },
      { source: 'pciutils', as: 'stubdom/pciutils-2.tar.bz2' },
    ];
    expect(runIn(folder, unpackScript(placements, tarballs)).status).toBe(0);
    const tree = join(folder, 'src');
    expect(readFileSync(join(tree, 'Makefile'), 'utf8')).toBe('all:');
    // The older copy in the release tarball is gone.
    expect(readdirSync(join(tree, 'extras/mini-os'))).toEqual(['main.c']);
    expect(execFileSync('gzip', ['-dc', join(tree, 'stubdom/zlib-1.tar.gz')])).toEqual(readFileSync(join(folder, 'in/zlib.tar')));
    expect(execFileSync('tar', ['-tjf', join(tree, 'stubdom/pciutils-2.tar.bz2')], { encoding: 'utf8' })).toContain('pciutils/pci.h');
    // Other cells read the tarballs, too.
    expect(readdirSync(join(folder, 'in'))).toHaveLength(tarballs.size);
    expect(['out', 'tmp'].map((name) => existsSync(join(folder, name)))).toEqual([true, true]);
  });

  test('stops at a tarball that is damaged', () => {
    const folder = tempFolder();
    const tarballs = new Map([makeTarball(folder, 'xen', { a: 'a' }), makeTarball(folder, 'zlib', { z: 'z' })]);
    writeFileSync(join(folder, 'in/xen.tar'), 'no tarball at all');
    const script = unpackScript(
      [
        { source: 'xen', unpack: '.' },
        { source: 'zlib', unpack: 'zlib' },
      ],
      tarballs,
    );
    expect(runIn(folder, script).status).not.toBe(0);
    expect(existsSync(join(folder, 'src/zlib'))).toBe(false);
  });

  test('is not made for a source that is not there', () => {
    expect(() => unpackScript([{ source: 'xen', unpack: '.' }], new Map())).toThrow('no tarball for xen');
  });
});

describe('buildScript', () => {
  const steps: Step[] = [
    { phase: "it's first", run: 'cd ..\nX=1\necho one' },
    { phase: 'second', run: 'test -z "$(set | grep ^X=)" && echo unset; basename "$PWD"' },
  ];

  test('runs each step in the tree, in a shell of its own, and says which begins', () => {
    const { status, stdout } = runIn(tempFolder(), buildScript(steps));
    expect(status).toBe(0);
    expect(stdout.split('\n')).toEqual([`${PHASE_MARK}it's first`, 'one', `${PHASE_MARK}second`, 'unset', 'src', '']);
  });

  test.each([
    ['a command that fails', 'false\necho on'],
    ['a variable that is not set', 'echo "$NO_SUCH_THING"\necho on'],
  ])('stops at %s', (_what, run) => {
    const { status, stdout } = runIn(tempFolder(), buildScript([{ phase: 'one', run }, ...steps]));
    expect(status).not.toBe(0);
    expect(stdout).toBe(`${PHASE_MARK}one\n`);
  });
});

test("the environment is the recipe's, and what is the same for all", () => {
  const recipe = { env: { LC_ALL: 'C', HOME: '/elsewhere' } };
  expect(buildEnvironment(recipe)).toMatchObject({ LC_ALL: 'C', HOME: '/elsewhere', TMPDIR: '/cell/tmp' });
});
