import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { productRoot } from '../../src/catalog/load.ts';
import { loadConfig } from '../../src/config/load.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

/** A folder with these files in it. */
function folderWith(files: Record<string, string>): string {
  const folder = tempFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

describe('the configuration is found', () => {
  test.each([
    ['matrix.config.ts', "const output: string = 'found';\nexport default { output };\n"],
    ['matrix.config.mts', "export default { output: 'found' as string };\n"],
    ['matrix.config.js', "export default { output: 'found' };\n"],
    ['matrix.config.mjs', "export default { output: 'found' };\n"],
    ['matrix.config.json', '{ "$schema": "./matrix.config.schema.json", "output": "found" }'],
    ['matrix.config.yaml', 'output: found\n'],
    ['matrix.config.yml', 'output: found\n'],
    ['package.json', '{ "type": "module", "pvgrub": { "output": "found" } }'],
  ])('as %s', async (name, content) => {
    const folder = folderWith({ 'package.json': '{ "type": "module" }', [name]: content });
    const loaded = await loadConfig({ from: folder });
    expect(loaded.file).toBe(join(folder, name));
    expect(loaded.config.output).toBe('found');
  });

  test('in a folder above', async () => {
    const folder = folderWith({ 'matrix.config.json': '{}', 'deep/er/file': '' });
    expect((await loadConfig({ from: join(folder, 'deep/er') })).file).toBe(join(folder, 'matrix.config.json'));
  });

  test('in the nearest folder, past a package.json that says nothing of us', async () => {
    const folder = folderWith({
      'matrix.config.json': '{}',
      'inner/package.json': '{ "name": "other" }',
      'inner/matrix.config.yaml': 'offline: true',
    });
    expect((await loadConfig({ from: join(folder, 'inner') })).config).toEqual({ offline: true });
  });

  test('by name, relative to the current folder or absolute, whatever else is there', async () => {
    const folder = folderWith({ 'matrix.config.json': '{}', 'other/mine.yaml': 'offline: true\n' });
    for (const file of ['other/mine.yaml', join(folder, 'other/mine.yaml')])
      expect(await loadConfig({ file, from: folder })).toEqual({ config: { offline: true }, file: join(folder, 'other/mine.yaml') });
  });

  // Its folder is the product's own: what it names must not be looked for there.
  test('in the fallback folder where the search finds none, and then belongs to no file', async () => {
    const [empty, fallback] = [tempFolder(), folderWith({ 'matrix.config.json': '{ "offline": true }' })];
    expect(await loadConfig({ from: empty, fallback })).toEqual({ config: { offline: true }, file: undefined });
    expect(await loadConfig({ from: empty })).toEqual({ config: {}, file: undefined });
  });

  test('named although it is empty; a search passes over an empty one', async () => {
    const folder = folderWith({ 'matrix.config.json': '{ "offline": true }', 'inner/matrix.config.yaml': '' });
    const file = join(folder, 'inner/matrix.config.yaml');
    expect(await loadConfig({ file, from: folder })).toEqual({ config: {}, file });
    expect((await loadConfig({ from: join(folder, 'inner') })).file).toBe(join(folder, 'matrix.config.json'));
  });
});

describe('a configuration that cannot be used', () => {
  test.each([
    ['matrix.config.json', '{ "output": '],
    ['matrix.config.yaml', 'output: [\n'],
    ['matrix.config.mjs', 'export default {'],
    ['matrix.config.mjs', "throw new Error('from inside');"],
  ])('%s with %j is told by its path', async (name, content) => {
    const folder = folderWith({ [name]: content });
    const error = await thrownBy(() => loadConfig({ from: folder }));
    expect(error).toMatchObject({ code: 'CONFIG_UNREADABLE', message: expect.stringContaining(join(folder, name)) });
  });

  test('named but not there is told by its path', async () => {
    const folder = tempFolder();
    const error = await thrownBy(() => loadConfig({ file: 'none.json', from: folder }));
    expect(error).toMatchObject({ code: 'CONFIG_UNREADABLE', message: expect.stringContaining(join(folder, 'none.json')) });
  });

  test('that is read but wrong names its file and the place in it', async () => {
    const folder = folderWith({ 'package.json': '{ "pvgrub": { "limits": { "time": 5 } } }' });
    const error = await thrownBy(() => loadConfig({ from: folder }));
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(join(folder, 'package.json')) });
    expect((error as Error).message).toContain('limits.time: ');
  });
});

test('defineConfig stands alone: its module works with nothing of the product beside it', async () => {
  const folder = folderWith({
    'matrix.config.mts': "import { defineConfig } from './define.ts';\nexport default defineConfig({ offline: true });\n",
  });
  copyFileSync(join(productRoot, 'src/config/define.ts'), join(folder, 'define.ts'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  expect((await loadConfig({ from: folder })).config).toEqual({ offline: true });
});
