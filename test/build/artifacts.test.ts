import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cellFolder, finished, outputError, place, readMetadata, stagingFolder, sweepWork } from '../../src/build/artifacts.ts';
import { sha256 } from '../../src/util/hash.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const cell = { loader: 'pvgrub2', version: '2.14', arch: 'x86_64' };
const id = 'pvgrub2-2.14-x86_64';

/** What a finished build leaves in a folder. */
function fill(folder: string, image: string, more: object = {}): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'grub.bin'), image);
  const metadata = { schema: 1, ...cell, inputHash: 'h1', image: { file: 'grub.bin', size: image.length, sha256: sha256(image) }, ...more };
  writeFileSync(join(folder, 'metadata.json'), JSON.stringify(metadata));
}
const imageIn = (output: string) => readFileSync(join(cellFolder(output, cell), 'grub.bin'), 'utf8');

/**
 * A build by another process that is killed on its way: its staging folder is filled, then `steps` are run and the
 * process ends at once. `old` and `home` are the names that `place` moves from and to.
 */
function killedRun(output: string, steps: string): void {
  const artifacts = join(import.meta.dirname, '../../src/build/artifacts.ts');
  const script = `
    import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
    import { cellFolder, stagingFolder } from ${JSON.stringify(artifacts)};
    const output = ${JSON.stringify(output)};
    const staging = await stagingFolder(output, ${JSON.stringify(id)});
    writeFileSync(staging + '/grub.bin', 'new');
    writeFileSync(staging + '/metadata.json', '{ "half": ');
    const home = cellFolder(output, ${JSON.stringify(cell)});
    const old = staging + '.old';
    ${steps}
    process.kill(process.pid, 'SIGKILL');`;
  expect(() => execFileSync(process.execPath, ['--input-type=module', '-e', script], { stdio: 'pipe' })).toThrow();
}

describe('a staging folder', () => {
  test('is new, in the output folder, and everybody may read it', async () => {
    const output = join(tempFolder(), 'not/there');
    const [one, two] = [await stagingFolder(output, id), await stagingFolder(output, id)];
    expect(one).not.toBe(two);
    expect(readdirSync(output)).toHaveLength(2);
    expect(statSync(one).mode & 0o777).toBe(0o755);
  });

  test('of a run that goes on is not swept', async () => {
    const output = tempFolder();
    const staging = await stagingFolder(output, id);
    expect(await sweepWork(output)).toBe(0);
    expect(existsSync(staging)).toBe(true);
  });
});

describe('placing a result', () => {
  test('puts it where the cell belongs and leaves nothing beside', async () => {
    const output = tempFolder();
    const staging = await stagingFolder(output, id);
    fill(staging, 'new');
    expect(await place(staging, output, cell)).toBe(join(output, 'pvgrub2/2.14/x86_64'));
    expect(imageIn(output)).toBe('new');
    expect(readdirSync(output)).toEqual(['pvgrub2']);
  });

  test('replaces an older one as a whole', async () => {
    const output = tempFolder();
    fill(cellFolder(output, cell), 'old');
    writeFileSync(join(cellFolder(output, cell), 'old-only'), '');
    const staging = await stagingFolder(output, id);
    fill(staging, 'new');
    await place(staging, output, cell);
    expect(imageIn(output)).toBe('new');
    expect(readdirSync(cellFolder(output, cell))).toEqual(['grub.bin', 'metadata.json']);
    expect(readdirSync(output)).toEqual(['pvgrub2']);
  });

  test('that cannot be done brings the older one back', async () => {
    const output = tempFolder();
    fill(cellFolder(output, cell), 'old');
    const staging = await stagingFolder(output, id);
    rmSync(staging, { recursive: true });
    expect(await thrownBy(() => place(staging, output, cell))).toMatchObject({ code: 'ENOENT' });
    expect(imageIn(output)).toBe('old');
    expect(readdirSync(output)).toEqual(['pvgrub2']);
  });
});

describe('after a run that was killed', () => {
  test('while it built, its work is removed and the result that was there stays', async () => {
    const output = tempFolder();
    fill(cellFolder(output, cell), 'old');
    killedRun(output, '');
    expect(await sweepWork(output)).toBe(1);
    expect(readdirSync(output)).toEqual(['pvgrub2']);
    expect(imageIn(output)).toBe('old');
  });

  test('between setting the old result aside and moving the new one in, the old one comes back', async () => {
    const output = tempFolder();
    fill(cellFolder(output, cell), 'old');
    killedRun(output, 'renameSync(home, old);');
    expect(existsSync(cellFolder(output, cell))).toBe(false);
    expect(await sweepWork(output)).toBe(2);
    expect(imageIn(output)).toBe('old');
    expect(readdirSync(output)).toEqual(['pvgrub2']);
  });

  test('after the new result was moved in, the new one stays and the old one is removed', async () => {
    const output = tempFolder();
    fill(cellFolder(output, cell), 'old');
    killedRun(output, 'renameSync(home, old); renameSync(staging, home);');
    expect(await sweepWork(output)).toBe(1);
    expect(imageIn(output)).toBe('new');
    expect(readdirSync(output)).toEqual(['pvgrub2']);
  });

  test('nothing else in the output folder is touched, and none need be there', async () => {
    const output = tempFolder();
    for (const name of ['.work', '.work-notes', 'failed', '.git']) mkdirSync(join(output, name));
    expect(await sweepWork(output)).toBe(0);
    expect(readdirSync(output)).toHaveLength(4);
    expect(await sweepWork(join(output, 'none'))).toBe(0);
  });
});

describe('a result counts as finished', () => {
  const made = (more?: object) => {
    const output = tempFolder();
    fill(cellFolder(output, cell), 'image', more);
    return output;
  };

  test('when it was made from the same inputs and its image is whole', async () => {
    expect(await finished(made(), cell, 'h1')).toMatchObject({ inputHash: 'h1', image: { file: 'grub.bin' } });
  });

  test('not when it was made from other inputs, or is not there', async () => {
    expect(await finished(made(), cell, 'h2')).toBeUndefined();
    expect(await finished(tempFolder(), cell, 'h1')).toBeUndefined();
  });

  test('not when its image was changed, cut or removed', async () => {
    for (const harm of [
      (path: string) => writeFileSync(path, 'imagE'),
      (path: string) => writeFileSync(path, ''),
      (path: string) => rmSync(path),
    ]) {
      const output = made();
      harm(join(cellFolder(output, cell), 'grub.bin'));
      expect(await finished(output, cell, 'h1')).toBeUndefined();
    }
  });

  test('not when its metadata is of another form, or names a file elsewhere', async () => {
    for (const file of ['../grub.bin', '/etc/hostname', '..', '.', '', 5])
      expect(await finished(made({ image: { file, size: 5, sha256: sha256('image') } }), cell, 'h1')).toBeUndefined();
    for (const more of [{ schema: 2 }, { image: null }, { loader: '../..' }, { version: 5 }])
      expect(await finished(made(more), cell, 'h1')).toBeUndefined();
  });

  test('metadata that is no such thing reads as none, whatever it is', async () => {
    const folder = tempFolder();
    const file = join(folder, 'metadata.json');
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.json().map((text) => `{"schema":1,"image":${text}}`),
        ),
        async (text) => {
          writeFileSync(file, text);
          expect(await readMetadata(folder)).toBeUndefined();
        },
      ),
      { examples: [['null'], ['{"schema":1}'], ['{"schema":1,"image":']] },
    );
  });
});

test('a full disk is told with the folder and what to do; other errors stay as they are', () => {
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  expect(outputError(full, '/srv/out')).toMatchObject({
    code: 'OUTPUT_DISK_FULL',
    message: expect.stringContaining('/srv/out'),
    cause: full,
  });
  const other = new Error('other');
  expect(outputError(other, '/srv/out')).toBe(other);
});
