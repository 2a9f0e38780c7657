import { availableParallelism } from 'node:os';
import { isAbsolute } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../src/config/schema.ts';
import { cacheFolder, type Overrides, settle, stateFolder } from '../../src/config/settings.ts';
import { UsageError } from '../../src/errors.ts';
import { thrownBy } from '../support/temp-folder.ts';

interface Layers {
  flags?: Overrides;
  env?: Record<string, string>;
  config?: ConfigInput;
}

const settled = ({ flags = {}, env = {}, config = {} }: Layers) =>
  settle({ config, file: '/etc/project/matrix.config.ts', overrides: flags, env: { HOME: '/home/user', ...env }, cwd: '/srv/here' });

describe('a flag wins over the environment, that over the configuration, that over the default', () => {
  const cases: { name: string; layers: Required<Layers>; get: (layers: Layers) => unknown; values: unknown[] }[] = [
    {
      name: 'output folder, each relative to where it is said',
      layers: { flags: { output: 'a' }, env: { PVGRUB_OUT: 'b' }, config: { output: 'c' } },
      get: (layers) => settled(layers).output,
      values: ['/srv/here/a', '/srv/here/b', '/etc/project/c', '/etc/project/artifacts'],
    },
    {
      name: 'store',
      layers: { flags: { store: '/a' }, env: { PVGRUB_STORE: '/b' }, config: { store: '../c' } },
      get: (layers) => settled(layers).store,
      values: ['/a', '/b', '/etc/c', '/home/user/.cache/pvgrub-forge/store'],
    },
    {
      name: 'engine',
      layers: { flags: { engines: ['private'] }, env: { PVGRUB_ENGINE: 'tcp://e:1' }, config: { engine: 'tcp://c:1' } },
      get: (layers) =>
        settled(layers)
          .engines.map(({ address }) => address)
          .join(),
      values: ['private', 'tcp://e:1', 'tcp://c:1', 'auto'],
    },
    {
      name: 'cores',
      layers: { flags: { jobs: 2 }, env: { PVGRUB_JOBS: '3' }, config: { concurrency: { cores: 5 } } },
      get: (layers) => settled(layers).cores,
      values: [2, 3, 5, availableParallelism()],
    },
    {
      name: 'offline',
      layers: { flags: { offline: false }, env: { PVGRUB_OFFLINE: '1' }, config: { offline: false } },
      get: (layers) => settled(layers).offline,
      values: [false, true, false, false],
    },
    {
      name: 'base image',
      layers: { flags: { base: 'a' }, env: { PVGRUB_BASE: 'b' }, config: { image: { base: 'c' } } },
      get: (layers) => settled(layers).image.base,
      values: ['a', 'b', 'c', 'auto'],
    },
  ];
  test.each(cases)('$name', ({ layers: { flags, env, config }, get, values }) => {
    expect([get({ flags, env, config }), get({ env, config }), get({ config }), get({})]).toEqual(values);
  });

  test('an environment variable that is set to nothing says nothing', () => {
    const env = {
      PVGRUB_OUT: '',
      PVGRUB_STORE: '',
      PVGRUB_ENGINE: '',
      PVGRUB_JOBS: '',
      PVGRUB_OFFLINE: '',
      PVGRUB_BASE: '',
      PVGRUB_DEBIAN_MIRROR: '',
    };
    expect(settled({ env })).toEqual(settled({}));
  });

  test('the Debian mirror of the environment replaces that of the configuration', () => {
    const config = { debianMirror: 'https://c.invalid' };
    expect(settled({ config, env: { PVGRUB_DEBIAN_MIRROR: 'https://e.invalid' } }).debianMirror).toBe('https://e.invalid');
    expect(settled({ config }).debianMirror).toBe('https://c.invalid');
    expect(settled({}).debianMirror).toBeUndefined();
  });
});

describe('origins and trust', () => {
  test('an --origin replaces the origins of that source, several of one name stand in order', () => {
    const config = { origins: { xen: ['git:/one', 'git:/two'], grub: 'dir:/files' } };
    expect(settled({ config, flags: { origins: ['xen=a', 'xen=b=c'] } }).origins).toEqual({ xen: ['a', 'b=c'], grub: ['dir:/files'] });
  });

  test.each(['xen', '=dir:/x', 'xen=', ''])('--origin %j is refused with an example', async (text) => {
    const error = await thrownBy(() => settled({ flags: { origins: [text] } }));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', hint: expect.stringContaining('--origin xen=') });
  });

  test('trust of flags and configuration is joined, each name once', () => {
    expect(settled({ config: { trust: ['grub', 'xen'] }, flags: { trust: ['zlib', 'grub'] } }).trust).toEqual(['grub', 'xen', 'zlib']);
  });
});

describe('limits', () => {
  test('are filled in', () => {
    expect(settled({}).limits).toEqual({ timeMs: 5_400_000, memory: 4 * 2 ** 30, pids: 4096, source: 512 * 2 ** 20 });
  });

  test('a time that no timer of Node can hold becomes the longest it can', () => {
    expect(settled({ config: { limits: { time: '9999h' } } }).limits.timeMs).toBe(2 ** 31 - 1);
  });

  test('no more cells run side by side than there are cores', () => {
    expect(settled({ config: { concurrency: { cores: 8, cells: 3 } } }).cells).toBe(3);
    expect(settled({ config: { concurrency: { cores: 8, cells: 3 } }, flags: { jobs: 2 } }).cells).toBe(2);
    expect(settled({ flags: { jobs: 6 } }).cells).toBe(6);
  });
});

test.each([
  ['PVGRUB_JOBS', '0'],
  ['PVGRUB_JOBS', 'many'],
  ['PVGRUB_JOBS', '1.5'],
  ['PVGRUB_OFFLINE', 'maybe'],
])('%s=%s is refused by name', async (name, value) => {
  const error = await thrownBy(() => settled({ env: { [name]: value } }));
  expect(error).toBeInstanceOf(UsageError);
  expect(error).toMatchObject({ code: 'OPTION_INVALID', message: `${name} is "${value}"` });
});

describe('folders', () => {
  test('for cache and state follow the XDG specification, which ignores relative ones', () => {
    expect(cacheFolder({ XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/pvgrub-forge');
    expect(cacheFolder({ XDG_CACHE_HOME: 'x', HOME: '/h' })).toBe('/h/.cache/pvgrub-forge');
    expect(stateFolder({ XDG_STATE_HOME: '/x', HOME: '/h' })).toBe('/x/pvgrub-forge');
    expect(stateFolder({ XDG_STATE_HOME: '', HOME: '/h' })).toBe('/h/.local/state/pvgrub-forge');
  });

  test('are absolute, whatever is said', () => {
    const text = fc.string();
    fc.assert(
      fc.property(text, text, text, (flag, variable, written) => {
        const config = written === '' ? {} : { output: written, store: written };
        const { output, store } = settled({ flags: { output: flag }, env: { PVGRUB_STORE: variable, XDG_CACHE_HOME: variable }, config });
        expect([isAbsolute(output), isAbsolute(store)]).toEqual([true, true]);
      }),
    );
  });
});

describe('engines', () => {
  const addresses = (layers: Layers) => settled(layers).engines;
  test('may be several in each layer, in the configuration with what may be used of each', () => {
    expect(addresses({ flags: { engines: ['auto', 'tcp://a:1'] } })).toEqual([{ address: 'auto' }, { address: 'tcp://a:1' }]);
    expect(addresses({ env: { PVGRUB_ENGINE: ' tcp://a:1  ssh://b ' } })).toEqual([{ address: 'tcp://a:1' }, { address: 'ssh://b' }]);
    const engines = ['auto', { address: 'ssh://b', cores: 8 }];
    expect(addresses({ config: { engines } })).toEqual([{ address: 'auto' }, { address: 'ssh://b', cores: 8 }]);
  });

  test('and an engine are not both said', async () => {
    expect(await thrownBy(() => settled({ config: { engine: 'auto', engines: ['private'] } }))).toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
