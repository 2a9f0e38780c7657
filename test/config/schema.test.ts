import { describe, expect, test } from 'vitest';
import matrixConfig from '../../matrix.config.ts';
import { checkConfig } from '../../src/config/load.ts';
import { UsageError } from '../../src/errors.ts';
import { thrownBy } from '../support/temp-folder.ts';

/** The lines of the error that a configuration gives, without the first. */
async function faults(config: unknown): Promise<string[]> {
  const error = await thrownBy(() => checkConfig(config, 'matrix.config.json'));
  expect(error).toBeInstanceOf(UsageError);
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', exit: 2 });
  const [first, ...lines] = (error as UsageError).message.split('\n');
  expect(first).toBe('matrix.config.json is not a valid configuration:');
  return lines.map((line) => line.trim());
}

describe('a configuration that is right', () => {
  test("is taken as it is: the project's own, an empty one, one with everything", async () => {
    const everything = {
      $schema: './matrix.config.schema.json',
      loaders: { 'pv-grub': { versions: ['4.17.5'], arches: ['x86_32'] }, pvgrub2: { versions: ['2.14'] } },
      include: ['*'],
      exclude: ['*-x86_32'],
      default: ['pvgrub2'],
      output: 'out',
      store: '../store',
      engine: 'unix:///var/run/docker.sock',
      concurrency: { cores: 4, cells: 2 },
      limits: { time: '1.5h', memory: '512M', pids: 100, source: 1000 },
      mirrors: ['http://mirror.invalid/files'],
      debianMirror: 'https://mirror.invalid/debian',
      origins: { xen: 'git:/srv/xen.git', 'grub@0.97': ['dir:/srv/files', '/srv/grub.tar.gz'] },
      trust: ['grub'],
      offline: true,
      image: { base: 'mmdebstrap', suite: 'bookworm' },
    };
    for (const config of [matrixConfig, {}, everything]) expect(await checkConfig(config, 'it')).toEqual(config);
  });
});

describe('a configuration that is wrong', () => {
  test.each([
    ['an unknown key', { colour: 'red' }, '(top level)', '"colour"'],
    ['an unknown key further in', { concurrency: { threads: 2 } }, 'concurrency', '"threads"'],
    ['an unknown loader', { loaders: { lilo: { versions: [] } } }, 'loaders', '"lilo"'],
    ['no object', [], '(top level)', 'expected object'],
    [
      'a version written as a number',
      { loaders: { pvgrub2: { versions: ['2.14', 2.12] } } },
      'loaders.pvgrub2.versions.1',
      'expected string, received number',
    ],
    [
      'a version that is none',
      { loaders: { 'pv-grub': { versions: ['newest'] } } },
      'loaders.pv-grub.versions.0',
      'expected a version such as 4.17.5',
    ],
    ['no versions', { loaders: { 'pv-grub': {} } }, 'loaders.pv-grub.versions', 'expected array'],
    [
      'a width that the loader does not have',
      { loaders: { 'pv-grub': { versions: [], arches: ['x86_32_pvh'] } } },
      'loaders.pv-grub.arches.0',
      '"x86_64"|"x86_32"',
    ],
    ['an empty selector', { default: [''] }, 'default.0', 'expected string'],
    ['a text where a list belongs', { include: '*' }, 'include', 'expected array'],
    ['no cores', { concurrency: { cores: 0 } }, 'concurrency.cores', 'expected number to be >0'],
    ['half a cell', { concurrency: { cells: 1.5 } }, 'concurrency.cells', 'expected int'],
    ['a time without a unit', { limits: { time: '90' } }, 'limits.time', 'expected a time such as "90s"'],
    ['no time at all', { limits: { time: '0s' } }, 'limits.time', 'expected a time'],
    ['a size in words', { limits: { memory: 'much' } }, 'limits.memory', 'expected bytes'],
    ['a size of nothing', { limits: { memory: '0g' } }, 'limits.memory', 'expected bytes, more than 0'],
    ['a size that is no text and no number', { limits: { source: true } }, 'limits.source', 'expected bytes'],
    ['a mirror without http', { mirrors: ['ftp://mirror.invalid'] }, 'mirrors.0', 'expected an http or https URL'],
    ['an engine that is no address', { engine: 'docker' }, 'engine', 'expected "auto", "private" or an address'],
    ['an origin that is no text', { origins: { xen: 5 } }, 'origins.xen', 'expected an origin'],
    ['an unknown Debian suite', { image: { suite: 'sid' } }, 'image.suite', '"bookworm"'],
  ])('with %s is told where and what was expected', async (_what, config, path, expected) => {
    const lines = await faults(config);
    expect(lines).toHaveLength(1);
    expect(lines[0]?.startsWith(`${path}: `)).toBe(true);
    expect(lines[0]).toContain(expected);
  });

  test('is told everything that is wrong at once', async () => {
    const lines = await faults({ output: 5, offline: 'yes', trust: 'grub' });
    expect(lines.map((line) => line.split(':')[0])).toEqual(['output', 'trust', 'offline']);
  });
});
