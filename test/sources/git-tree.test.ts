import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { objectId, type TreeFile, timeOfCommit, treeId, treeOfCommit } from '../../src/sources/git-tree.ts';
import { makeRepo, type RepoFile, TRICKY } from '../support/git-repo.ts';
import { tempFolder } from '../support/tar-maker.ts';

const folder = tempFolder();

function asTreeFile(path: string, file: RepoFile): TreeFile {
  const [mode, text]: [TreeFile['mode'], string] =
    typeof file === 'string' ? ['100644', file] : 'link' in file ? ['120000', file.link] : ['100755', file.run];
  return { path, mode, blob: objectId('blob', Buffer.from(text)) };
}

describe('treeId', () => {
  test('is what git computes for executables, links, and names that sort differently as folders', () => {
    const repo = makeRepo(join(folder, 'tricky'));
    repo.commit(TRICKY);
    const files = Object.entries(TRICKY).map(([path, file]) => asTreeFile(path, file));
    expect(treeId(files)).toBe(repo.git('rev-parse', 'HEAD^{tree}'));
    expect(treeId(files.toReversed())).toBe(repo.git('rev-parse', 'HEAD^{tree}'));
  });

  test('is git’s id of the empty tree where there are no files', () => {
    const repo = makeRepo(join(folder, 'empty'));
    expect(treeId([])).toBe(repo.git('write-tree'));
  });

  test('is what git write-tree gives for any set of names', () => {
    const repo = makeRepo(join(folder, 'any'));
    const part = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', '0', 'é', ' ', '_'), minLength: 1, maxLength: 4 });
    const paths = fc
      .uniqueArray(
        fc
          .array(
            part.filter((name) => name !== '.' && name !== '..'),
            { minLength: 1, maxLength: 3 },
          )
          .map((parts) => parts.join('/')),
        { minLength: 1, maxLength: 12 },
      )
      // A name cannot be a file and a folder at once.
      .map((all) => all.filter((path) => !all.some((other) => other.startsWith(`${path}/`))));
    fc.assert(
      fc.property(paths, (names) => {
        const blob = objectId('blob', Buffer.from('x'));
        const input = names.map((path) => `100644 ${blob}\t${path}\0`).join('');
        const run = (args: string[], stdin = '') =>
          execFileSync('git', ['-C', repo.path, ...args], { input: stdin, encoding: 'utf8' }).trim();
        run(['read-tree', '--empty']);
        run(['update-index', '-z', '--index-info'], input);
        expect(treeId(names.map((path) => ({ path, mode: '100644', blob })))).toBe(run(['write-tree', '--missing-ok']));
      }),
      { numRuns: 15 },
    );
  });
});

describe('objectId', () => {
  test('is what git hash-object gives', () => {
    const repo = makeRepo(join(folder, 'blobs'));
    for (const bytes of [Buffer.alloc(0), Buffer.from('text\n'), Buffer.from([0, 255, 10, 13, 128])]) {
      writeFileSync(join(repo.path, 'blob'), bytes);
      expect(objectId('blob', bytes)).toBe(repo.git('hash-object', '--no-filters', 'blob'));
    }
  });
});

describe('a commit object', () => {
  const repo = makeRepo(join(folder, 'commits'));
  const id = repo.commit({ file: 'text' });
  const raw = execFileSync('git', ['-C', repo.path, 'cat-file', 'commit', id]);

  test('has the id, the tree and the time that git says', () => {
    expect(objectId('commit', raw)).toBe(id);
    expect(treeOfCommit(raw)).toBe(repo.git('rev-parse', `${id}^{tree}`));
    expect(timeOfCommit(raw)).toBe(Number(repo.git('show', '--no-patch', '--format=%ct', id)));
  });

  test('is not told from its message: a time or a tree written there counts for nothing', () => {
    const text = 'a message\n\ncommitter Nobody <n@example.org> 99 +0000\n';
    const tree = repo.git('rev-parse', `${id}^{tree}`);
    const other = repo.git('commit-tree', tree, '-p', id, '-m', text);
    const bytes = execFileSync('git', ['-C', repo.path, 'cat-file', 'commit', other]);
    expect(timeOfCommit(bytes)).toBe(Number(repo.git('show', '--no-patch', '--format=%ct', other)));
    expect(treeOfCommit(Buffer.from(`parent ${id}\ntree ${tree}\n`))).toBeUndefined();
    expect(treeOfCommit(readFileSync(join(repo.path, 'file')))).toBeUndefined();
    expect(timeOfCommit(Buffer.from('tree of nothing'))).toBe(0);
    expect(timeOfCommit(Buffer.from(`tree ${tree}\n\n${text}`))).toBe(0);
  });
});
