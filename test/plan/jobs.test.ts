import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inParts, shardOf } from '../../src/plan/expected.ts';
import { githubMatrix, gitlabPipeline, jobsOf } from '../../src/plan/jobs.ts';
import type { Cell } from '../../src/plan/plan.ts';
import { pvgrub } from '../support/cli.ts';

const source = (version: string) => ({ name: 'xen', version, file: 'f', pins: { sha256: version }, origins: [] });
const cell = (version: string, arch = 'x86_64') =>
  ({
    id: `pv-grub-${version}-${arch}`,
    loader: 'pv-grub',
    version,
    arch,
    recipe: { sources: [source(version)], steps: [{ run: 'make', toolchain: true }], env: {}, files: {}, toolchain: { sources: ['xen'] } },
  }) as unknown as Cell;
const cells = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 0, max: 22 }), fc.integer({ min: 0, max: 9 })), { selector: String, minLength: 1, maxLength: 60 })
  .map((list) => list.map(([a, b]) => cell(`4.${a}.${b}`)));

describe('jobs', () => {
  test('have every cell once, are never empty, and are the parts that --shard gives', () => {
    fc.assert(
      fc.property(cells, fc.integer({ min: 1, max: 256 }), (list, count) => {
        const jobs = jobsOf(list, count, 'd');
        expect(jobs.length).toBe(Math.min(count, list.length));
        expect(jobs.flatMap((job) => job.cells.split(' ')).sort()).toEqual(list.map(({ id }) => id).sort());
        for (const [i, job] of jobs.entries()) {
          expect(job.part).toBe(`${i + 1}/${jobs.length}`);
          expect(job.cells).toBe(
            shardOf(list, { index: i + 1, count: jobs.length })
              .map(({ id }) => id)
              .join(' '),
          );
        }
        expect(inParts(list, count).flat()).toHaveLength(list.length);
      }),
    );
  });

  test('have keys that change with a pin, and with nothing else', () => {
    const [one] = jobsOf([cell('4.17.5'), cell('4.17.5', 'x86_32')], 1, 'd');
    const [again] = jobsOf([cell('4.17.5')], 1, 'd');
    const [other] = jobsOf([cell('4.17.6')], 1, 'd');
    const [image] = jobsOf([cell('4.17.5')], 1, 'another Dockerfile');
    expect(again?.sources).toBe(one?.sources);
    expect(other?.sources).not.toBe(one?.sources);
    expect(image?.sources).toBe(one?.sources);
    expect(image?.toolchains).not.toBe(one?.toolchains);
  });

  test('become what the services take', () => {
    const jobs = jobsOf([cell('4.17.5'), cell('4.18.0')], 2, 'd');
    expect(githubMatrix(jobs).include).toEqual(jobs);
    const pipeline = gitlabPipeline(jobs);
    expect(Object.keys(pipeline).filter((name) => /^build \d/.test(name))).toEqual(['build 1/2', 'build 2/2']);
    expect(pipeline['build 1/2']).toMatchObject({ extends: '.pvgrub-build', variables: { CELLS: jobs[0]?.cells, PART: 'parts/1-of-2' } });
  });
});

test('the whole matrix is at most 256 jobs in one line of JSON', async () => {
  const { stdout } = await pvgrub(['matrix', '--format', 'github']);
  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  expect((JSON.parse(stdout) as { include: unknown[] }).include).toHaveLength(256);
  expect(
    (JSON.parse((await pvgrub(['matrix', '--format', 'github', '--parts', '7'])).stdout) as { include: unknown[] }).include,
  ).toHaveLength(7);
});

test('a matrix of nothing is an error that says so, and so are too many parts', async () => {
  const nothing = await pvgrub(['matrix', '*', '!*', '--format', 'github']);
  expect(nothing).toMatchObject({ code: 2, stdout: '' });
  expect(nothing.stderr).toMatch(/SELECTOR_NO_MATCH/);
  const many = await pvgrub(['matrix', '--format', 'github', '--parts', '257']);
  expect(many).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('256 at the most') });
  expect((await pvgrub(['matrix', '--parts', '3'])).code).toBe(2);
});
