import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { misfit, parseListing, parseReads, readsOf, type ToolchainInputs, toolchainKey } from '../../src/plan/toolchain-key.ts';

const inputs: ToolchainInputs = {
  image: 'a'.repeat(64),
  env: { LC_ALL: 'C' },
  commands: 'patch -d newlib-1.16.0 -p0 < newlib.patch\ncd newlib-x86_64 && gcc -O1 -c x.c',
  steps: ['make cross-newlib'],
  files: { 'trim.pl': 'x' },
  tarballs: { newlib: 'b'.repeat(64) },
  unpinned: {},
};

describe('the first key', () => {
  test('is the same for the same, however its members are ordered', () => {
    expect(toolchainKey({ ...inputs, env: { B: '2', A: '1' } })).toBe(toolchainKey({ ...inputs, env: { A: '1', B: '2' } }));
  });

  test.each<[string, Partial<ToolchainInputs>]>([
    ['another build image', { image: 'c'.repeat(64) }],
    ['another environment', { env: { LC_ALL: 'C', XEN_TARGET_ARCH: 'x86_32' } }],
    ['another flag', { commands: inputs.commands.replace('-O1', '-O2') }],
    ['another step', { steps: ['make cross-newlib', 'make cross-zlib'] }],
    ['another list of members', { files: { 'trim.pl': 'y' } }],
    ['another tarball', { tarballs: { newlib: 'd'.repeat(64) } }],
    ['a source that nothing proves', { unpinned: { grub: 'e'.repeat(64) } }],
  ])('is another for %s', (_what, change) => {
    expect(toolchainKey({ ...inputs, ...change })).not.toBe(toolchainKey(inputs));
  });
});

test('a listing is what sha256sum prints', () => {
  const digest = '0'.repeat(64);
  expect([...parseListing(`${digest}  a/b c.h\n${digest} *d.h\n\\${digest}  e\\nf.h\nsha256sum: g: No such file\n`)]).toEqual([
    ['a/b c.h', digest],
    ['d.h', digest],
  ]);
});

describe('what the compilers read', () => {
  test('is told by folder and rule, with system headers and what is outside of the tree left out', () => {
    const text = [
      '@/cell/src/stubdom/newlib-x86_64/libc',
      'lib_a-x.o: ../../newlib-1.16.0/x.c \\',
      ' /cell/src/stubdom/../extras/mini-os/include/lock.h /usr/lib/gcc/stdarg.h',
      '@/cell/src/stubdom/zlib-x86_64',
      'adler32.o: adler32.c zlib.h',
      '',
    ].join('\n');
    expect(parseReads(text, '/cell/src')).toEqual([
      'extras/mini-os/include/lock.h',
      'stubdom/newlib-1.16.0/x.c',
      'stubdom/zlib-x86_64/adler32.c',
      'stubdom/zlib-x86_64/zlib.h',
    ]);
  });

  test('never makes it throw, and never leads out of the tree', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('@', '/', '.', ':', ' ', '\\', '\n', 'a', 'cell', 'src') }), (text) => {
        for (const path of parseReads(text, '/cell/src')) expect(path).not.toMatch(/^(\/|\.\.(\/|$)|$)/);
      }),
    );
  });
});

describe('a toolchain fits', () => {
  const own = ['stubdom/newlib-x86_64', 'stubdom/cross-root-x86_64'];
  const from = { own, commands: inputs.commands, folder: 'stubdom' };
  const listing = new Map([
    ['mini-os/include/lock.h', '1'],
    ['mini-os/include/netfront.h', '2'],
    ['stubdom/newlib.patch', '3'],
    ['stubdom/vtpm.patch', '4'],
    ['tools/include/lock.h', '5'],
  ]);
  const reads = readsOf(['mini-os/include/lock.h', 'stubdom/newlib-x86_64/x.c'], listing, from);
  const fitting = (change: (listing: Map<string, string>) => void) => {
    const changed = new Map(listing);
    change(changed);
    return reads && misfit(reads, changed, from);
  };

  test('a cell that has the same, whatever else has changed, is new or is gone', () => {
    expect(reads?.files).toEqual({ 'mini-os/include/lock.h': '1', 'stubdom/newlib.patch': '3' });
    expect(fitting(() => {})).toBeUndefined();
    expect(fitting((tree) => tree.set('mini-os/include/netfront.h', 'x').set('stubdom/vtpm.patch', 'x'))).toBeUndefined();
    expect(fitting((tree) => tree.set('mini-os/include/blkfront.h', 'x'))).toBeUndefined();
    expect(fitting((tree) => tree.delete('mini-os/include/netfront.h'))).toBeUndefined();
  });

  test('none where a header or a patch that was read is another, or gone', () => {
    expect(fitting((tree) => tree.set('mini-os/include/lock.h', 'x'))).toBe('mini-os/include/lock.h');
    expect(fitting((tree) => tree.delete('mini-os/include/lock.h'))).toBe('mini-os/include/lock.h');
    expect(fitting((tree) => tree.set('stubdom/newlib.patch', 'x'))).toBe('stubdom/newlib.patch');
  });

  test('none where a header of the same name has come that might be found first', () => {
    expect(fitting((tree) => tree.set('mini-os/include/posix/lock.h', 'x'))).toBe('lock.h');
    expect(fitting((tree) => tree.delete('tools/include/lock.h'))).toBe('lock.h');
  });

  test('nobody where something was read of which nothing is known', () => {
    expect(readsOf(['mini-os/include/made-later.h'], listing, from)).toBeUndefined();
  });
});
