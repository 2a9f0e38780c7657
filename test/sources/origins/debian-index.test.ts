import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findSourceFile, indexedFiles, parseRelease } from '../../../src/sources/origins/debian-index.ts';

const hex = fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: 64, maxLength: 64 }).map((digits) => digits.join(''));
const file = fc.record({ sha256: hex, size: fc.nat(), name: fc.stringMatching(/^[a-z0-9][a-z0-9._~+-]{0,10}$/) });

describe('indexedFiles', () => {
  test('reads the lines of a checksum field', () => {
    fc.assert(
      fc.property(fc.array(file), (files) => {
        const field = files.map(({ sha256, size, name }) => `\n ${sha256} ${' '.repeat(size % 5)}${size} ${name}`).join('');
        expect(indexedFiles(field)).toEqual(files);
      }),
    );
  });

  test('leaves out what is not one: other checksums, signs and missing parts', () => {
    const sum = 'a'.repeat(64);
    expect(indexedFiles(`${'a'.repeat(32)} 1 md5\n${sum} -1 sign\n${sum} 1\n${sum.toUpperCase()} 1 upper\n${sum} 1 good`)).toEqual([
      { sha256: sum, size: 1, name: 'good' },
    ]);
    expect(indexedFiles(undefined)).toEqual([]);
  });
});

describe('parseRelease', () => {
  const sum = 'c'.repeat(64);
  test('reads suite, codename, files, by-hash and the day it expires', () => {
    const release = parseRelease(
      `Suite: unstable\nCodename: sid\nValid-Until: Thu, 02 Jan 2020 03:04:05 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n ${'a'.repeat(32)} 1 x\nSHA256:\n ${sum} 7 main/source/Sources.xz\n`,
    );
    expect(release).toMatchObject({ suite: 'unstable', codename: 'sid', byHash: true, validUntil: Date.parse('2020-01-02T03:04:05Z') });
    expect([...release.files]).toEqual([['main/source/Sources.xz', { sha256: sum, size: 7, name: 'main/source/Sources.xz' }]]);
  });

  test('does not expire and has no by-hash where it does not say so', () => {
    expect(parseRelease('Codename: x\nAcquire-By-Hash: no\n')).toMatchObject({ validUntil: undefined, byHash: false });
  });
});

describe('findSourceFile', () => {
  const names = fc.constantFrom('xen', 'xen-tools', 'libxen', 'grub2');
  const entry = fc.record({
    package: names,
    version: fc.stringMatching(/^[0-9][0-9.+~-]{0,6}$/),
    directory: fc.constant('pool/main/x'),
    file,
    order: fc.nat(23),
    more: fc.constantFrom('', 'Binary: a,\n Package: xen\n', 'Package-List: x\n Package: xen\n', 'Description: Package: xen\n'),
  });

  test('finds just the entries of the package, wherever they stand and in whatever order their fields are', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 6 }), names, (entries, wanted) => {
        const text = entries
          .map((one) => {
            const fields = [
              `Package: ${one.package}\n`,
              `Version: ${one.version}\n`,
              `Directory: ${one.directory}\n`,
              `Checksums-Sha256:\n ${one.file.sha256} ${one.file.size} ${one.file.name}\n ${one.file.sha256} 1 ${one.file.name}.asc\n`,
            ];
            const turned = [...fields.slice(one.order % 4), ...fields.slice(0, one.order % 4)];
            return `${turned.join('')}${one.more}`;
          })
          .join('\n');
        for (const { file: asked } of entries) {
          const right = entries.filter((one) => one.package === wanted && one.file.name === asked.name);
          expect(findSourceFile(text, wanted, asked.name)).toEqual(
            right.map((one) => ({ ...one.file, version: one.version, directory: one.directory })),
          );
        }
      }),
    );
  });

  test('gives nothing for a file that is not listed, or without a folder', () => {
    const sum = 'd'.repeat(64);
    const text = `Package: xen\nVersion: 1\nChecksums-Sha256:\n ${sum} 1 xen.tar\n`;
    expect(findSourceFile(text, 'xen', 'xen.tar')).toEqual([]);
    expect(findSourceFile(`${text}Directory: pool\n`, 'xen', 'other.tar')).toEqual([]);
    expect(findSourceFile('', 'xen', 'xen.tar')).toEqual([]);
  });
});
