import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { archiveMembers } from '../../src/inspect/archive-members.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Two files with times and modes of their own, in a new folder. */
function files(): string {
  const folder = tempFolder();
  for (const [name, time, mode] of [
    ['one.o', 1_000_000_000, 0o644],
    ['two.o', 1_100_000_000, 0o600],
  ] as const) {
    writeFileSync(join(folder, name), `odd ${name}\n`.repeat(time % 7));
    utimesSync(join(folder, name), time, time);
    chmodSync(join(folder, name), mode);
  }
  return folder;
}

const hasAr = (() => {
  try {
    execFileSync('ar', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

describe('members', () => {
  test('of a tar that GNU tar wrote, wherever it begins', () => {
    const folder = files();
    const tar = execFileSync('tar', ['--owner=a:12', '--group=b:34', '--mode=u+x', '-C', folder, '-cf', '-', 'one.o', 'two.o']);
    const members = archiveMembers(Buffer.concat([Buffer.from('before'), tar, Buffer.from('behind')]));
    expect(members).toEqual([
      { archive: 'tar', name: 'one.o', mtime: 1_000_000_000, uid: 12, gid: 34, mode: 0o744 },
      { archive: 'tar', name: 'two.o', mtime: 1_100_000_000, uid: 12, gid: 34, mode: 0o700 },
    ]);
  });

  test.skipIf(!hasAr)('of an archive that binutils wrote', () => {
    const folder = files();
    execFileSync('ar', ['rcU', 'all.a', 'one.o', 'two.o'], { cwd: folder });
    const members = archiveMembers(readFileSync(join(folder, 'all.a')));
    expect(members.map(({ archive, name, mtime, mode }) => [archive, name, mtime, mode & 0o777])).toEqual([
      ['ar', 'one.o', 1_000_000_000, 0o644],
      ['ar', 'two.o', 1_100_000_000, 0o600],
    ]);
  });

  test.skipIf(!hasAr)('of one with long names: its tables keep the names that GNU gives them, and have numbers', () => {
    const folder = files();
    writeFileSync(join(folder, 'a-name-that-is-longer-than-a-header.o'), 'x');
    execFileSync('ar', ['rcD', 'all.a', 'a-name-that-is-longer-than-a-header.o', 'one.o'], { cwd: folder });
    const members = archiveMembers(readFileSync(join(folder, 'all.a')));
    expect(members.map(({ name }) => name)).toEqual(['//', '/0', 'one.o']);
    for (const member of members) for (const value of Object.values(member)) expect(value).not.toBeNaN();
  });

  test('of an archive with a member of an odd size, and of a second one behind it', () => {
    const member = (name: string, content: string) =>
      `${name.padEnd(16)}${'7'.padEnd(12)}${'1'.padEnd(6)}${'2'.padEnd(6)}${'100644'.padEnd(8)}${String(content.length).padEnd(10)}\`\n${content}${content.length % 2 ? '\n' : ''}`;
    const bytes = Buffer.from(`!<arch>\n${member('a/', 'odd')}${member('b/', 'even')}!<arch>\n${member('c', '')}`);
    expect(archiveMembers(bytes).map(({ name, mtime, uid, gid, mode }) => [name, mtime, uid, gid, mode])).toEqual(
      ['a', 'b', 'c'].map((name) => [name, 7, 1, 2, 0o100644]),
    );
  });
});

test('bytes that are no archive, or a damaged one, have no members that were not there', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.constantFrom('', '!<arch>\n', 'ustar'), (bytes, magic) => {
      const all = Buffer.concat([Buffer.from(bytes), Buffer.from(magic), Buffer.from(bytes)]);
      for (const { archive } of archiveMembers(all)) expect(archive).toBe('ar');
    }),
  );
});
