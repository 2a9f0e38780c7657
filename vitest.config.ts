import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';

/** The longest file first: it takes longer than all the others beside it. */
class BootFirst extends BaseSequencer {
  override async sort(files: Parameters<BaseSequencer['sort']>[0]) {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => Number(b.project.name === 'boot') - Number(a.project.name === 'boot'));
  }
}

export default defineConfig({
  test: {
    reporters: ['default', './test/support/count-reporter.ts'],
    coverage: { provider: 'v8', include: ['src/**'] },
    sequence: { sequencer: BootFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**'],
          maxWorkers: 2,
          setupFiles: ['test/support/own-folders.ts'],
          testTimeout: 30_000,
        },
      },
      {
        // Machines that boot, and mostly wait: beside the unit tests, which use no engine.
        test: {
          name: 'boot',
          include: ['test/integration/boot.test.ts'],
          maxWorkers: 2,
          setupFiles: ['test/support/own-folders.ts'],
          testTimeout: 15 * 60_000,
          // A new machine first makes the engine, the build image and the boot image, with the unit tests beside that.
          hookTimeout: 20 * 60_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          exclude: ['test/integration/boot.test.ts'],
          setupFiles: ['test/support/own-folders.ts'],
          // They share one engine and two cores.
          fileParallelism: false,
          testTimeout: 15 * 60_000,
          hookTimeout: 10 * 60_000,
        },
      },
    ],
  },
});
