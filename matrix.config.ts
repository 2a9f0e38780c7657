import { defineConfig } from './src/config/define.ts';

/** What this project builds. docs/configuration.md explains each key. */
export default defineConfig({
  loaders: {
    'pv-grub': {
      versions: ['*'],
      arches: ['x86_64', 'x86_32'],
    },
    pvgrub2: {
      versions: ['*'],
      arches: ['x86_64', 'x86_32', 'x86_32_pvh'],
    },
  },
  default: ['pv-grub-4.20.4-x86_64', 'pvgrub2-2.14-x86_64'],
  output: 'artifacts',
});
