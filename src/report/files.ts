import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { refusalOf } from '../errors.ts';
import type { Listener } from './events.ts';
import { annotation } from './github.ts';
import { junitXml } from './junit.ts';
import { markdownSummary } from './markdown.ts';
import { RunRecord } from './record.ts';
import { renderer } from './render.ts';

/** What a command is to tell of its run, and where. */
export interface ReportFlags {
  progress: string;
  /** A file that gets the run as JUnit XML. */
  junit?: string;
  /** A file that the summary is appended to, in Markdown; a GitHub runner names one itself. */
  summary?: string;
}

/**
 * The listener for a run: its display, and the reports that are asked for, which are written when it is finished. On a GitHub
 * runner failures become annotations, on stderr, where the runner reads them as well.
 * @throws UsageError OPTION_INVALID, FILE_UNREADABLE where a report could not be written
 */
export function reporter({ progress, junit, summary }: ReportFlags, env: NodeJS.ProcessEnv = process.env): Listener {
  const show = renderer(progress, env);
  const markdown = summary ?? (env['GITHUB_STEP_SUMMARY'] || undefined);
  const annotate = env['GITHUB_ACTIONS'] === 'true';
  const record = new RunRecord();
  // What cannot be written is better known before an hour of building.
  if (junit !== undefined) attempt(junit, () => writeFileSync(made(junit), junitXml(record)));
  if (summary !== undefined) attempt(summary, () => appendFileSync(made(summary), ''));
  return (event) => {
    show(event);
    record.take(event);
    const line = annotate ? annotation(event) : undefined;
    if (line !== undefined) process.stderr.write(`${line}\n`);
    if (event.type !== 'run-finished') return;
    const write = (file: string | undefined, work: (file: string) => void) => {
      try {
        if (file !== undefined) work(made(file));
      } catch (error) {
        // The images are worth more than a report of them.
        show({ type: 'warning', text: `${file} could not be written: ${(error as Error).message}` });
      }
    };
    write(junit, (file) => writeFileSync(file, junitXml(record)));
    write(markdown, (file) => appendFileSync(file, markdownSummary(record)));
  };
}

function made(file: string): string {
  mkdirSync(dirname(file), { recursive: true });
  return file;
}

function attempt(file: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw refusalOf(error, file, ['ENOENT', 'ENOSPC']) ?? error;
  }
}
