import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sumLine, writeSums } from '../../src/build/artifacts.ts';
import { sha256 } from '../../src/util/hash.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Whether coreutils finds every file of a SHA256SUMS unchanged. */
const check = (folder: string) => spawnSync('sha256sum', ['-c', '--strict', '--quiet', 'SHA256SUMS'], { cwd: folder, encoding: 'utf8' });

describe('a line of SHA256SUMS', () => {
  test('is what sha256sum writes', () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'pv-grub-x86_64.gz'), 'x');
    expect(sumLine(sha256('x'), 'pv-grub-x86_64.gz')).toBe(
      execFileSync('sha256sum', ['pv-grub-x86_64.gz'], { cwd: folder, encoding: 'utf8' }),
    );
  });

  test('is read by sha256sum, whatever the name of the file', () => {
    const name = fc
      .array(fc.oneof(fc.constantFrom('\\', '\n', ' ', '*', 'n', '\r', 'é'), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 })), {
        minLength: 1,
        maxLength: 6,
      })
      .map((parts) => `f${parts.join('').replaceAll(/[/\0]/g, '_')}`)
      .filter((text) => text.isWellFormed() && text.normalize() === text);
    const folder = tempFolder();
    fc.assert(
      fc.property(name, (file) => {
        writeFileSync(join(folder, file), 'content');
        writeFileSync(join(folder, 'SHA256SUMS'), sumLine(sha256('content'), file));
        expect(check(folder)).toMatchObject({ status: 0, stderr: '' });
        rmSync(join(folder, file));
      }),
      { numRuns: 60, examples: [['f\\n'], ['f\n'], ['f '], ['f\\\n\\']] },
    );
  });
});

describe('SHA256SUMS', () => {
  /** A cell's folder with an image and its metadata. */
  function result(output: string, place: string, image: string, metadata?: string): void {
    const folder = join(output, place);
    const [loader, version, arch] = place.split('/');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'image.gz'), image);
    const own = JSON.stringify({ schema: 1, loader, version, arch, image: { file: 'image.gz', size: 1, sha256: sha256(image) } });
    writeFileSync(join(folder, 'metadata.json'), metadata ?? own);
  }

  test('covers every image that is there, sorted by name, and sha256sum agrees', async () => {
    const output = tempFolder();
    for (const place of ['pvgrub2/2.14/x86_64', 'pv-grub/4.17.5/x86_64', 'pv-grub/4.17.5/x86_32', 'pv-grub/4.2.5/x86_64'])
      result(output, place, place);
    expect(await writeSums(output)).toEqual({ images: 4, damaged: [] });
    expect(check(output)).toMatchObject({ status: 0, stderr: '' });
    const names = readFileSync(join(output, 'SHA256SUMS'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('  ')[1]);
    expect(names).toEqual([
      'pv-grub/4.17.5/x86_32/image.gz',
      'pv-grub/4.17.5/x86_64/image.gz',
      'pv-grub/4.2.5/x86_64/image.gz',
      'pvgrub2/2.14/x86_64/image.gz',
    ]);
  });

  test('is read anew from the images each time: what is gone or has changed is left out, and what has changed is named', async () => {
    const output = tempFolder();
    for (const arch of ['x86_64', 'x86_32', 'x86_32_pvh']) result(output, `pvgrub2/2.14/${arch}`, arch);
    await writeSums(output);
    rmSync(join(output, 'pvgrub2/2.14/x86_32'), { recursive: true });
    writeFileSync(join(output, 'pvgrub2/2.14/x86_32_pvh/image.gz'), 'changed');
    expect(await writeSums(output)).toEqual({ images: 1, damaged: ['pvgrub2/2.14/x86_32_pvh/image.gz'] });
    expect(readFileSync(join(output, 'SHA256SUMS'), 'utf8')).toBe(sumLine(sha256('x86_64'), 'pvgrub2/2.14/x86_64/image.gz'));
  });

  test('leaves out work aside, folders without metadata and metadata without an image', async () => {
    const output = tempFolder();
    result(output, 'pvgrub2/2.14/x86_64', 'good');
    result(output, '.work-1.1.x-abcdef/2.14/x86_64', 'aside');
    result(output, 'pvgrub2/2.12/x86_64', 'broken', '{');
    result(output, 'pvgrub2/2.12/x86_32', 'gone');
    rmSync(join(output, 'pvgrub2/2.12/x86_32/image.gz'));
    mkdirSync(join(output, 'failed'));
    writeFileSync(join(output, 'failed/pvgrub2.log'), '');
    expect(await writeSums(output)).toEqual({ images: 1, damaged: [] });
  });

  test('of an output folder without results is empty, and no temporary file stays', async () => {
    const output = join(tempFolder(), 'new');
    expect(await writeSums(output)).toEqual({ images: 0, damaged: [] });
    expect(readdirSync(output)).toEqual(['SHA256SUMS']);
    expect(readFileSync(join(output, 'SHA256SUMS'), 'utf8')).toBe('');
  });
});
