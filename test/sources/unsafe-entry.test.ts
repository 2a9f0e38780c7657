import { posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unsafeEntry } from '../../src/sources/archive-entry.ts';

const names = fc
  .array(fc.constantFrom('a', 'b', '..', '.', '', '...', 'a..', '\0', '-x', ' '), { minLength: 0, maxLength: 6 })
  .map((parts) => parts.join('/'));
const types = fc.constantFrom(
  ...['file', 'contiguous-file', 'directory', 'symlink', 'link', 'character-device', 'block-device', 'fifo'],
  null,
  undefined,
);

/** Whether a path below a root stays below it. */
function inside(path: string): boolean {
  const reached = posix.resolve('/place/of/tree', path);
  return reached === '/place/of/tree' || reached.startsWith('/place/of/tree/');
}

describe('unsafeEntry', () => {
  test('lets pass only names, and targets of links, that stay inside when they are resolved', () => {
    fc.assert(
      fc.property(names, types, names, (name, type, linkname) => {
        if (unsafeEntry({ name, type, linkname }) !== undefined) return;
        expect(name).not.toBe('');
        expect(inside(name)).toBe(true);
        if (type === 'symlink') {
          // Where the link is once the top folder's name is taken off.
          const below = posix.normalize(name).split('/').slice(1).join('/');
          expect(inside(posix.resolve('/place/of/tree', posix.dirname(below), linkname))).toBe(true);
        }
        if (type === 'link') expect(inside(linkname)).toBe(true);
        expect(['file', 'contiguous-file', 'directory', 'symlink', 'link']).toContain(type);
      }),
      { numRuns: 5000 },
    );
  });

  test('lets pass what ordinary tarballs have', () => {
    const part = fc.stringMatching(/^[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,8}$/);
    const plain = fc.array(part, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(plain, plain, fc.nat(), (path, target, up) => {
        const name = path.join('/');
        expect(unsafeEntry({ name, type: 'file' })).toBeUndefined();
        expect(unsafeEntry({ name: `./${name}/`, type: 'directory' })).toBeUndefined();
        expect(unsafeEntry({ name, type: 'link', linkname: target.join('/') })).toBeUndefined();
        const linkname = [...Array<string>(up % Math.max(1, path.length - 1)).fill('..'), ...target].join('/');
        expect(unsafeEntry({ name, type: 'symlink', linkname })).toBeUndefined();
      }),
    );
  });

  test.each([
    ['../x', 'file', undefined, 'a name with ".."'],
    ['a/../../x', 'file', undefined, 'a name with ".."'],
    ['a/..', 'directory', undefined, 'a name with ".."'],
    ['/etc/passwd', 'file', undefined, 'an absolute name'],
    ['//x', 'file', undefined, 'an absolute name'],
    ['', 'file', undefined, 'without a proper name'],
    ['a\0b', 'file', undefined, 'without a proper name'],
    ['a/l', 'symlink', '/etc/passwd', 'leaves the tree'],
    ['a/l', 'symlink', '../../x', 'leaves the tree'],
    ['a/l', 'symlink', '../x', 'leaves the tree'],
    ['a/l', 'symlink', '../a/x', 'leaves the tree'],
    ['./a/l', 'symlink', '../x', 'leaves the tree'],
    ['a/b/l', 'symlink', '../../x', 'leaves the tree'],
    ['a/l', 'link', 'a/../a/x', 'leaves the tree'],
    ['a/l', 'symlink', 'b/../../../x', 'leaves the tree'],
    ['a/.', 'symlink', '..', 'leaves the tree'],
    ['.', 'symlink', 'a', 'without a proper name'],
    ['a/l', 'symlink', '', 'leaves the tree'],
    ['a/l', 'symlink', undefined, 'leaves the tree'],
    ['a/l', 'link', '../x', 'leaves the tree'],
    ['a/l', 'link', '/etc/passwd', 'leaves the tree'],
    ['a/n', 'character-device', undefined, 'a/n, which is a character-device'],
    ['a/n', 'block-device', undefined, 'a/n, which is a block-device'],
    ['a/._n', 'file', undefined, 'a file that macOS adds'],
    ['a/\ufffd', 'file', undefined, 'not UTF-8'],
    ['a/l', 'symlink', '\ufffd', 'not UTF-8'],
    ['a/'.repeat(2100), 'directory', undefined, 'more than 4096 bytes'],
    [`a/${'n'.repeat(256)}`, 'file', undefined, 'a part of more than 255 bytes'],
    ['a/n', 'fifo', undefined, 'a/n, which is a fifo'],
    ['a/n', null, undefined, 'neither file, folder nor link'],
  ])('refuses %j as %s to %j', (name, type, linkname, why) => {
    expect(unsafeEntry({ name, type, linkname })).toContain(why);
  });

  test.each(['directory', 'symlink', 'link', 'fifo', 'character-device', 'block-device'])('refuses a %s with content', (type) => {
    expect(unsafeEntry({ name: 'a/b', type, linkname: 'a/c', size: 1 })).toContain('with content');
    if (type !== 'link') return;
    expect(unsafeEntry({ name: 'a/b', type, linkname: 'a/c', size: 0 })).toBeUndefined();
    expect(unsafeEntry({ name: 'a/b', type: 'file', size: 1 })).toBeUndefined();
  });

  test('lets links climb as far as the top folder, but no farther', () => {
    expect(unsafeEntry({ name: 'top/a/b', type: 'symlink', linkname: '../c' })).toBeUndefined();
    expect(unsafeEntry({ name: 'top/a/b', type: 'symlink', linkname: '..' })).toBeUndefined();
    expect(unsafeEntry({ name: 'top/b', type: 'symlink', linkname: '..' })).toContain('leaves the tree');
  });
});
