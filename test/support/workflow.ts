import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { root } from './cli.ts';

/** A GitHub workflow, as far as ours use it. */
export interface Workflow {
  permissions: Record<string, string>;
  env?: Record<string, string>;
  jobs: Record<string, WorkflowJob>;
}
export interface WorkflowJob {
  needs?: string;
  permissions?: Record<string, string>;
  env?: Record<string, string>;
  outputs?: Record<string, string>;
  strategy?: { matrix: string };
  steps: WorkflowStep[];
}
export interface WorkflowStep {
  id?: string;
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
  env?: Record<string, string>;
}

export const workflows = () => readdirSync(join(root, '.github/workflows')).sort();
export const readWorkflow = (name: string) => load(readFileSync(join(root, '.github/workflows', name), 'utf8')) as Workflow;
/** Its text, with the comments. */
export const workflowText = (name: string) => readFileSync(join(root, '.github/workflows', name), 'utf8');

type Contexts = Record<string, unknown>;

/** A text with its ${{ }} filled in: paths into contexts, which is all that ours have beside fromJSON. */
function filled(text: unknown, contexts: Contexts): string {
  return String(text).replace(/\$\{\{\s*(?:fromJSON\()?([\w.-]+)\)?\s*\}\}/g, (_whole, path: string) => {
    const value = path.split('.').reduce<unknown>((at, name) => (at as Contexts | undefined)?.[name], contexts);
    if (value === undefined) throw new Error(`${path} is nothing here`);
    return String(value);
  });
}

const filledEnv = (env: Record<string, string> | undefined, contexts: Contexts) =>
  Object.fromEntries(Object.entries(env ?? {}).map(([name, value]) => [name, filled(value, contexts)]));

/** Where a workflow is run, and with what. */
export interface Stage {
  /** A folder for the jobs and what they hand on. */
  folder: string;
  inputs: Record<string, string>;
  secrets: Record<string, string>;
  vars: Record<string, string>;
  /** What a checkout brings beside the launcher: by name. */
  files: Record<string, string>;
  /** Environment of a job: job is its name, index its place in the matrix. */
  env: (job: string, index: number) => Record<string, string>;
  /** Changes a step's script where a job cannot do all of it here. */
  script?: (run: string) => string;
}

/**
 * Run jobs of a workflow in their order, each in a folder of its own as on a runner of its own, by bash as a runner does.
 * Artifacts are folders; checkouts bring a launcher and files; caches are empty; what else the service does is left out.
 */
export async function runWorkflow(workflow: Workflow, jobs: readonly string[], stage: Stage): Promise<void> {
  const needs: Contexts = {};
  for (const name of jobs) {
    const job = workflow.jobs[name];
    if (!job) throw new Error(`no job ${name}`);
    const shared = { inputs: stage.inputs, secrets: stage.secrets, vars: stage.vars, needs };
    const matrix = job.strategy ? (JSON.parse(filled(job.strategy.matrix, shared)) as { include: Contexts[] }).include : [{}];
    for (const [index, entry] of matrix.entries()) {
      const folder = join(stage.folder, `${name}-${index}`);
      mkdirSync(folder, { recursive: true });
      const outputs = await runJob(
        workflow,
        job,
        folder,
        { ...shared, matrix: entry, strategy: { 'job-index': index }, github: { workspace: folder } },
        stage,
        stage.env(name, index),
      );
      needs[name] = { outputs };
    }
  }
}

async function runJob(
  workflow: Workflow,
  job: WorkflowJob,
  folder: string,
  contexts: Contexts,
  stage: Stage,
  env: Record<string, string>,
): Promise<Record<string, string>> {
  const steps: Record<string, { outputs: Record<string, string> }> = {};
  const all = { ...contexts, steps };
  const output = join(folder, '.output');
  for (const step of job.steps) {
    if (step.uses) useAction(step, folder, all, stage);
    if (!step.run) continue;
    writeFileSync(output, '');
    await bash(stage.script?.(step.run) ?? step.run, folder, {
      ...env,
      ...filledEnv(workflow.env, all),
      ...filledEnv(job.env, all),
      ...filledEnv(step.env, all),
      GITHUB_OUTPUT: output,
      GITHUB_ACTIONS: 'true',
      GITHUB_STEP_SUMMARY: join(stage.folder, 'summary.md'),
    });
    const lines = readFileSync(output, 'utf8').split('\n').filter(Boolean);
    if (step.id)
      steps[step.id] = { outputs: Object.fromEntries(lines.map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)])) };
  }
  return filledEnv(job.outputs, all);
}

function useAction({ uses, with: options = {} }: WorkflowStep, folder: string, contexts: Contexts, stage: Stage): void {
  const option = (name: string) => filled(options[name] ?? '', contexts);
  const kept = join(stage.folder, 'kept');
  switch (uses?.split('@')[0]) {
    case 'actions/checkout':
      writeFileSync(join(folder, 'pvgrub'), `#!/bin/sh\nexec '${root}/pvgrub' "$@"\n`);
      chmodSync(join(folder, 'pvgrub'), 0o755);
      for (const [name, content] of Object.entries(stage.files)) writeFileSync(join(folder, name), content);
      return;
    case 'actions/upload-artifact': {
      const from = join(folder, option('path'));
      const to = join(kept, option('name'));
      mkdirSync(to, { recursive: true });
      // The runner leaves hidden files out, and a single file lies at the top.
      if (option('path').includes('.')) cpSync(from, join(to, option('path')));
      else cpSync(from, to, { recursive: true, filter: (path) => !/\/\.[^/]*$/.test(path) });
      return;
    }
    case 'actions/download-artifact': {
      const to = join(folder, option('path'));
      mkdirSync(to, { recursive: true });
      const pattern = option('pattern');
      if (pattern === '') cpSync(join(kept, option('name')), to, { recursive: true });
      else {
        const names = readdirSync(kept).filter((name) => name.startsWith(pattern.replace('*', '')));
        // As release 5 and later do it: one alone has no folder of its own.
        for (const name of names) cpSync(join(kept, name), names.length > 1 ? join(to, name) : to, { recursive: true });
      }
    }
  }
}

function bash(script: string, cwd: string, env: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    // As "shell: bash" is documented, but for pipefail, which is not the default.
    execFile(
      'bash',
      ['--noprofile', '--norc', '-e', '-c', script],
      { cwd, env: { ...process.env, ...env }, maxBuffer: 2 ** 26 },
      (error, _stdout, stderr) => {
        if (error) reject(new Error(`${script}\n${stderr.slice(-3000)}`));
        else resolve();
      },
    );
  });
}
