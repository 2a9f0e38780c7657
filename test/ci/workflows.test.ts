import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { pvgrub, root } from '../support/cli.ts';
import { callsIn, parsed } from '../support/parsed.ts';
import { readWorkflow, type WorkflowJob, workflows, workflowText } from '../support/workflow.ts';

const VALUES = {
  SELECTOR: '*',
  PARTS: '20',
  CELLS: 'pv-grub-4.17.5-x86_64',
  SAMPLE: '3',
  URL: 'https://example.org/',
  PUBLIC_KEY: 'RWQ',
  PART: 'parts/1',
  '@': 'parts',
};
const scripts = (job: WorkflowJob) => job.steps.flatMap(({ run }) => run ?? []);

describe.each(workflows())('%s', (name) => {
  const workflow = readWorkflow(name);
  const jobs = Object.entries(workflow.jobs);

  test('has jobs that need only jobs that are there, and calls this command line with options that it has', async () => {
    expect(jobs.length).toBeGreaterThan(0);
    for (const [, { needs }] of jobs) if (needs) expect(Object.keys(workflow.jobs)).toContain(needs);
    for (const script of jobs.flatMap(([, job]) => scripts(job)))
      for (const call of callsIn(script, VALUES)) await expect(parsed(call), call.join(' ')).resolves.toBeDefined();
  });

  test('takes every action at a commit, with its release beside it', () => {
    const uses = [...workflowText(name).matchAll(/\buses: (.*)/g)].map(([, text]) => text);
    expect(uses.length).toBeGreaterThan(0);
    for (const text of uses) expect(text).toMatch(/^[\w-]+(\/[\w-]+){1,2}@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  test('gives no job a right that it does not ask for, and none that runs sources of others a right to write, or a secret', () => {
    expect(workflow.permissions).toEqual({});
    for (const [, job] of jobs) {
      expect(job.permissions).toBeDefined();
      if (!scripts(job).some((script) => /pvgrub (build|reproduce|boot)|\.ci\/run/.test(script))) continue;
      expect(job.permissions).toEqual({ contents: 'read' });
      expect(JSON.stringify(job)).not.toMatch(/secrets\./);
    }
    for (const [, job] of jobs)
      for (const step of job.steps.filter(({ uses }) => uses?.startsWith('actions/checkout@')))
        expect(step.with).toMatchObject({ 'persist-credentials': false });
  });

  test('installs Debian’s keyring, which Ubuntu lacks, before a job asks a Debian mirror', () => {
    for (const [, job] of jobs) {
      const at = (form: RegExp) => scripts(job).findIndex((script) => form.test(script));
      const asks = at(/pvgrub (sources fetch|build|reproduce)|\.ci\/run/);
      if (asks >= 0) expect(at(/apt-get install .*debian-archive-keyring/)).toBeLessThan(asks);
      if (asks >= 0) expect(at(/apt-get install .*debian-archive-keyring/)).toBeGreaterThanOrEqual(0);
    }
  });

  test('puts no text of others into a script: it comes by the environment', () => {
    for (const script of jobs.flatMap(([, job]) => scripts(job))) expect(script).not.toContain('${{');
  });
});

test('the pages and the pipeline for GitLab call this command line with options that it has', async () => {
  const page = readFileSync(join(root, 'docs/ci.md'), 'utf8');
  const calls = callsIn([...page.matchAll(/```\w*\n([\s\S]*?)```/g)].map(([, code]) => code).join('\n'), { ...VALUES, i: '1', n: '4' });
  expect(calls.length).toBeGreaterThan(5);
  const gitlab = load((await pvgrub(['matrix', 'pv-grub-4.17.5', '--format', 'gitlab'])).stdout) as Record<string, { script?: string[] }>;
  for (const { script } of Object.values(gitlab)) for (const line of script ?? []) calls.push(...callsIn(line, VALUES));
  for (const call of calls) await expect(parsed(call), call.join(' ')).resolves.toBeDefined();
});

test('a call that the command line does not know would be found', async () => {
  await expect(parsed(callsIn('./pvgrub build --bot "$SELECTOR"', VALUES)[0] ?? [])).rejects.toThrow('unknown option');
  await expect(parsed(['matrix', '--format', 'travis'])).rejects.toThrow('Allowed choices');
});
