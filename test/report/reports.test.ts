import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { SaxesParser } from 'saxes';
import { describe, expect, test } from 'vitest';
import type { Event } from '../../src/report/events.ts';
import { reporter } from '../../src/report/files.ts';
import { annotation, errorAnnotation } from '../../src/report/github.ts';
import { junitXml } from '../../src/report/junit.ts';
import { markdownSummary, markdownText } from '../../src/report/markdown.ts';
import { RunRecord } from '../../src/report/record.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

const sha256 = 'ab'.repeat(32);
const error = {
  code: 'BUILD_FAILED',
  message: 'b: the build ended with exit code 2',
  got: 'a.c:1: error: no <such> "thing"\n…\nmake: *** [all] Error 2',
};
const events: Event[] = [
  { type: 'run-started', run: 'r', cells: ['a', 'b', 'c'], engines: ['e'], cores: 1, side: 1 },
  { type: 'boot-case', image: 'a', case: 'disk', ok: true, said: 'menu', menu: 1, guest: 2.5 },
  { type: 'boot-case', image: 'a', case: 'ext4', ok: false, said: 'nothing came', menu: undefined, guest: undefined },
  {
    type: 'cell-done',
    cell: 'a',
    image: 'pv-grub-x86_64.gz',
    sha256,
    size: 400_000,
    ms: 61_500,
    unpinned: [],
    boot: { cases: 5, hypervisor: 'Xen 4.17.5' },
  },
  { type: 'engine-lost', engine: 'docker at tcp://far', left: 1 },
  { type: 'cell-failed', cell: 'b', error, exit: 1, ms: 1000, log: 'out/b.log' },
  { type: 'run-finished', run: 'r', ms: 70_000, done: 1, cached: 0, failed: 1, exit: 1 },
];
function recordOf(list: readonly Event[]): RunRecord {
  const record = new RunRecord();
  for (const event of list) record.take(event);
  return record;
}

interface Element {
  name: string;
  attributes: Record<string, string>;
  text: string;
}
function elements(xml: string): Element[] {
  const found: Element[] = [];
  const parser = new SaxesParser();
  parser.on('error', (problem) => {
    throw problem;
  });
  parser.on('opentag', ({ name, attributes }) => found.push({ name, attributes: attributes as Record<string, string>, text: '' }));
  parser.on('text', (text) => {
    const last = found.at(-1);
    if (last) last.text += text;
  });
  parser.write(xml).close();
  return found;
}

describe('JUnit', () => {
  test('has each cell and boot case, the failed with the first real error, those that never began as skipped', () => {
    const found = elements(junitXml(recordOf(events)));
    expect(found.filter(({ name }) => name === 'testsuite').map(({ attributes }) => attributes)).toMatchObject([
      { name: 'build', tests: '3', failures: '1', skipped: '1', time: '70.000' },
      { name: 'boot', tests: '2', failures: '1', skipped: '0' },
    ]);
    expect(found.filter(({ name }) => name === 'testcase').map(({ attributes }) => attributes['name'])).toEqual([
      'a',
      'b',
      'c',
      'disk',
      'ext4',
    ]);
    const failures = found.filter(({ name }) => name === 'failure');
    expect(failures[0]?.attributes).toEqual({ type: 'BUILD_FAILED', message: 'a.c:1: error: no <such> "thing"' });
    expect(failures[0]?.text).toContain('make: *** [all] Error 2');
    expect(failures[0]?.text).toContain('log: out/b.log');
    expect(failures[1]?.attributes['message']).toBe('nothing came');
  });

  test('can be read whatever a log says', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, got) => {
        const failed: Event = {
          type: 'cell-failed',
          cell: 'b',
          error: { code: 'BUILD_FAILED', message, got },
          exit: 1,
          ms: 1,
          log: undefined,
        };
        expect(elements(junitXml(recordOf([...events.slice(0, 1), failed]))).filter(({ name }) => name === 'failure')).toHaveLength(1);
      }),
    );
  });
});

describe('the job summary', () => {
  test('has image, size, SHA-256, boot proof and seconds of each cell, and why one failed', () => {
    const text = markdownSummary(recordOf(events));
    expect(text).toContain(`| \`a\` | built | \`pv&#45;grub-x86_64.gz\` |`.replace('&#45;', '-'));
    expect(text).toContain(`\`${sha256}\` | 5 cases in Xen 4.17.5 | 61.5 |`);
    expect(text).toContain('### pvgrub: 1 of 3 cells');
    expect(text).toContain('- `b` [BUILD_FAILED]: a.c:1: error: no &#60;such&#62;');
    expect(text).toContain('tcp:');
  });

  test('takes no markup from a log, and every row stays one row', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(markdownText(text)).not.toMatch(/[|`<>[\]\n\r]/);
      }),
    );
  });
});

test('an annotation is one line that a runner reads, whatever the error says', () => {
  expect(annotation(events[5] as Event)).toBe('::error title=b failed [BUILD_FAILED]::a.c:1: error: no <such> "thing"');
  const odd: Event = {
    type: 'cell-failed',
    cell: 'b',
    error: { code: 'SOURCE_OFFLINE', message: '50% of\ttext\rmore' },
    exit: 1,
    ms: 1,
    log: undefined,
  };
  expect(annotation(odd)).toBe('::error title=b failed [SOURCE_OFFLINE]::50%25 of\ttext%0Dmore');
  expect(annotation(events[0] as Event)).toBeUndefined();
});

describe('reports', () => {
  const send = (listen: (event: Event) => void) => events.forEach(listen);

  test('are written when the run is finished, into folders that need not be there; the summary of a runner is appended to', () => {
    const folder = tempFolder();
    const [junit, summary] = [join(folder, 'deep/er/junit.xml'), join(folder, 'summary.md')];
    for (let i = 0; i < 2; i++) send(reporter({ progress: 'quiet', junit }, { GITHUB_STEP_SUMMARY: summary }));
    expect(elements(readFileSync(junit, 'utf8'))[0]?.name).toBe('testsuites');
    expect(readFileSync(summary, 'utf8').match(/### pvgrub/g)).toHaveLength(2);
  });

  test('that cannot be written are told before the work begins', async () => {
    expect(await thrownBy(() => reporter({ progress: 'quiet', junit: '/dev/null/x.xml' }, {}))).toMatchObject({ code: 'FILE_UNREADABLE' });
    expect(existsSync('/dev/null/x.xml')).toBe(false);
  });
});

test('an error of the command line is an annotation, too', () => {
  expect(errorAnnotation({ code: 'SELECTOR_NO_MATCH', message: 'no cell:\nx' })).toBe(
    '::error title=pvgrub [SELECTOR_NO_MATCH]::no cell:%0Ax',
  );
});
