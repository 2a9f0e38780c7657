import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { productRoot } from '../../src/catalog/load.ts';
import { tempFolder } from '../support/temp-folder.ts';

let folder: string;
const trim = (...args: string[]) =>
  spawnSync('perl', [join(productRoot, 'loaders/pv-grub/trim.pl'), ...args], { cwd: folder, encoding: 'utf8' });
const text = (name: string) => readFileSync(join(folder, name), 'utf8');

beforeEach(() => {
  folder = tempFolder();
});

describe('newlib without what no image links', () => {
  beforeEach(() => {
    cpSync(join(import.meta.dirname, '../fixtures/stand-in/newlib'), join(folder, 'newlib'), { recursive: true });
    writeFileSync(join(folder, 'members'), '# comment\natoi # why\n\nmallocr\n');
  });

  test('keeps the members of the list and those that newlib itself takes by name, in their order', () => {
    const { status, stderr } = trim('newlib', 'newlib', 'members');
    expect([status, stderr]).toEqual([0, '']);
    const lists = text('newlib/newlib/libc/stdlib/Makefile.in') + text('newlib/newlib/libm/common/Makefile.in');
    expect(lists.match(/lib_a-\w+(?=\.\$\(OBJEXT\))/g)).toEqual(['lib_a-atoi', 'lib_a-s_isinf', 'lib_a-s_modf']);
    // Rules stay as they are.
    expect(lists).toContain('lib_a-abs.o: abs.c\n\t$(CC) -c -o lib_a-abs.o abs.c\n');
    expect(lists).toContain('$(lpfx)mallocr.$(oext)');
  });

  test('waits for no clock, and has no support library', () => {
    trim('newlib', 'newlib', 'members');
    expect(text('newlib/newlib/configure')).toBe('#!/bin/sh\n# Just in case\n:\necho timestamp > conftest.file\n');
    expect(['libgloss', 'texinfo', 'etc'].filter((name) => existsSync(join(folder, 'newlib', name)))).toEqual([]);
  });

  test('is refused where a member of the list is nowhere', () => {
    writeFileSync(join(folder, 'members'), 'atoi\nno_such_thing\n');
    const { status, stderr } = trim('newlib', 'newlib', 'members');
    expect(status).not.toBe(0);
    expect(stderr).toBe('newlib has no member no_such_thing\n');
  });
});

describe('PolarSSL', () => {
  const makefile = (objects: string) => {
    mkdirSync(join(folder, 'polarssl/library'), { recursive: true });
    writeFileSync(join(folder, 'polarssl/library/Makefile'), `CC = gcc\n\n${objects}\n\nall: libpolarssl.a\n`);
  };

  test('is only its SHA-1', () => {
    makefile('OBJS=\taes.o\t\\\n\trsa.o\t\tsha1.o\tsha2.o\t\\\n\txtea.o');
    expect(trim('polarssl', 'polarssl').status).toBe(0);
    expect(text('polarssl/library/Makefile')).toBe('CC = gcc\n\nOBJS=sha1.o\n\nall: libpolarssl.a\n');
  });

  test('is refused where its list has no SHA-1', () => {
    makefile('OBJS=\taes.o\t\\\n\tsha16.o');
    expect(trim('polarssl', 'polarssl').stderr).toContain('no list of objects with sha1.o');
  });
});

test('nothing else is known to it', () => {
  expect(trim('zlib', 'zlib').status).not.toBe(0);
});
