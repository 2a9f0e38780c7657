import { defineConfig } from './src/config/define.ts';

/** What this project builds. docs/configuration.md explains each key. */
export default defineConfig({
  loaders: {
    'pv-grub': {
      versions: ['4.1.4', '4.2.5', '4.4.4', '4.6.6', '4.10.4', '4.14.6', '4.17.5', '4.20.4', '4.22.0'],
      arches: ['x86_64', 'x86_32'],
    },
    pvgrub2: {
      versions: ['2.12', '2.14'],
      arches: ['x86_64', 'x86_32', 'x86_32_pvh'],
    },
  },
  default: ['pv-grub-4.20.4-x86_64', 'pvgrub2-2.14-x86_64'],
  output: 'artifacts',
});
