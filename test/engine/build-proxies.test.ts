import { afterEach, expect, test, vi } from 'vitest';
import { buildProxies } from '../../src/engine/image.ts';
import { aptConfig } from '../support/apt-config.ts';

/** What the apt inside an image's build is given to reach a mirror with. */

const mirror = 'http://mirror.example.test/debian';
const env = { http_proxy: 'http://environment.example.test:1', no_proxy: 'inner.example.test', OTHER: 'x' };
const given = { http_proxy: env.http_proxy, no_proxy: env.no_proxy };

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each([
  ['the environment’s proxy where apt has none', '', given],
  [
    'apt’s own before the environment’s',
    'Acquire::http::Proxy "http://cache.example.test:3142";',
    { ...given, http_proxy: 'http://cache.example.test:3142', https_proxy: 'http://cache.example.test:3142' },
  ],
])('%s', async (_what, conf, proxies) => {
  aptConfig({ sources: '', conf });
  expect(await buildProxies(mirror, env)).toEqual(proxies);
});

test('apt’s own where it stands in apt.conf alone', async () => {
  aptConfig({ sources: `deb ${mirror} bookworm main\n`, conf: 'Acquire::http::Proxy "http://cache.example.test:3142";' });
  expect(await buildProxies(undefined, {})).toMatchObject({ http_proxy: 'http://cache.example.test:3142' });
});
