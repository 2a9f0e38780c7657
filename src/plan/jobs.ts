import type { SourceRef } from '../catalog/types.ts';
import { canonicalJson, sha256 } from '../util/hash.ts';
import { expectedSeconds, inParts } from './expected.ts';
import type { Cell } from './plan.ts';

/** A matrix as CI services take it: cells in jobs that take about as long as each other. Pure. */

/** The most jobs that a GitHub matrix may have (docs.github.com, "Running variations of jobs in a workflow"). */
export const MOST_JOBS = 256;

/** One job. */
export interface Job {
  /** The i-th of n, as `--shard` takes it. */
  part: string;
  /** Ids of its cells with a blank between them: selectors for pvgrub build. */
  cells: string;
  /** How long its cells are expected to take on two cores. */
  minutes: number;
  /** Content key of its sources: the same as long as they are. */
  sources: string;
  /** Content key of what goes into its toolchains. */
  toolchains: string;
}

/**
 * Cells as jobs.
 * @param count how many jobs at the most; never more than cells
 * @param dockerfile SHA-256 of the build image's Dockerfile: toolchains are for one build image
 */
export function jobsOf(cells: readonly Cell[], count: number, dockerfile: string): Job[] {
  const parts = inParts(cells, Math.min(count, cells.length));
  return parts.map((part, i) => ({
    part: `${i + 1}/${parts.length}`,
    cells: part.map(({ id }) => id).join(' '),
    minutes: Math.ceil(part.reduce((sum, cell) => sum + expectedSeconds(cell), 0) / 60),
    sources: key(part.flatMap(({ recipe }) => recipe.sources.map(pinned))),
    toolchains: key([dockerfile, ...part.flatMap(toolchainInputs)]),
  }));
}

const pinned = ({ name, version, pins }: SourceRef) => canonicalJson({ name, version, pins });

function toolchainInputs({ recipe: { toolchain, steps, env, files, sources } }: Cell): string[] {
  if (!toolchain) return [];
  const run = steps.filter((step) => step.toolchain).map((step) => step.run);
  const unpacked = sources.filter(({ name }) => toolchain.sources.includes(name)).map(pinned);
  return [canonicalJson({ toolchain, run, env, files, unpacked })];
}

const key = (parts: readonly string[]) => sha256([...new Set(parts)].sort().join('\n')).slice(0, 16);

/** What `strategy.matrix` takes after fromJSON. */
export function githubMatrix(jobs: readonly Job[]): { include: Job[] } {
  return { include: [...jobs] };
}

/** Where jobs keep what later ones may take over, below the project's folder: only that can be cached. */
const KEPT = '.pvgrub';

/**
 * GitLab's child pipeline (docs.gitlab.com, "CI/CD YAML syntax reference"): a job for each part, and one that joins them.
 * `.pvgrub` is for the project to extend: image, tags and what else its runners need.
 */
export function gitlabPipeline(jobs: readonly Job[]): Record<string, unknown> {
  const name = ({ part }: Job) => `build ${part}`;
  const folder = ({ part }: Job) => `parts/${part.replace('/', '-of-')}`;
  const builds = jobs.map((job) => [
    name(job),
    {
      extends: '.pvgrub-build',
      variables: { CELLS: job.cells, PART: folder(job) },
      cache: [
        { key: `pvgrub-sources-${job.sources}`, paths: [`${KEPT}/store`] },
        { key: `pvgrub-toolchains-${job.toolchains}`, paths: [`${KEPT}/build`] },
      ],
    },
  ]);
  return {
    stages: ['image', 'build', 'merge'],
    variables: { PVGRUB_STORE: `$CI_PROJECT_DIR/${KEPT}/store`, PVGRUB_CACHE: `$CI_PROJECT_DIR/${KEPT}/build` },
    '.pvgrub': { interruptible: true },
    // One for all jobs: else what comes out would depend on the day and the machine.
    'build image': {
      extends: '.pvgrub',
      stage: 'image',
      script: ['./pvgrub sources export build-image.tar --build-image'],
      artifacts: { paths: ['build-image.tar'] },
    },
    '.pvgrub-build': {
      extends: '.pvgrub',
      stage: 'build',
      needs: ['build image'],
      script: [
        './pvgrub sources import build-image.tar --trust build-image',
        './pvgrub build $CELLS --boot --base store --out $PART --junit junit.xml',
      ],
      artifacts: { when: 'always', paths: ['parts/'], reports: { junit: 'junit.xml' } },
    },
    ...Object.fromEntries(builds),
    merge: {
      extends: '.pvgrub',
      stage: 'merge',
      script: ['./pvgrub merge parts/* --out artifacts'],
      artifacts: { paths: ['artifacts/'] },
    },
  };
}
