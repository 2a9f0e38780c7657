import type { CellRecord, RunRecord } from './record.ts';
import { reasonOf } from './record.ts';

/** Text for XML 1.0: its markup escaped, and what it cannot have at all left out (www.w3.org/TR/xml, 2.2). */
export function xmlText(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '')
    .replace(/[&<>"'\n\r\t]/g, (one) => `&#${one.codePointAt(0)};`);
}

const seconds = (ms: number) => (ms / 1000).toFixed(3);

function cellCase({ cell, state, ms = 0, error, log }: CellRecord): string {
  const open = `    <testcase classname="pvgrub.build" name="${xmlText(cell)}" time="${seconds(ms)}"`;
  if (state === 'waiting') return `${open}><skipped message="the run ended before it"/></testcase>`;
  if (!error) return `${open}/>`;
  const detail = `${errorDataText(error)}${log === undefined ? '' : `\nlog: ${log}`}`;
  return `${open}><failure type="${xmlText(error.code)}" message="${xmlText(reasonOf(error))}">${xmlText(detail)}</failure></testcase>`;
}

function errorDataText({ code, message, expected, got, hint }: NonNullable<CellRecord['error']>): string {
  const parts = [`${message} [${code}]`, expected && `expected: ${expected}`, got && `got:\n${got}`, hint && `try: ${hint}`];
  return parts.filter((part) => part !== undefined).join('\n');
}

/**
 * A run as JUnit XML, in the form that CI services read (testsuites, testsuite, testcase, failure, skipped): one suite of
 * the cells, and one of their boot cases where there were any. Pure.
 */
export function junitXml(record: RunRecord): string {
  const cells = [...record.cells.values()];
  const suites = [
    suite(
      'build',
      record.ms,
      cells.map(cellCase),
      cells.filter(({ error }) => error).length,
      cells.filter(({ state }) => state === 'waiting').length,
    ),
  ];
  if (record.boots.length > 0) {
    const cases = record.boots.map(({ image, case: name, ok, said, guest, menu }) => {
      const open = `    <testcase classname="pvgrub.boot.${xmlText(image)}" name="${xmlText(name)}" time="${(guest ?? menu ?? 0).toFixed(3)}"`;
      return ok ? `${open}/>` : `${open}><failure type="BOOT_FAILED" message="${xmlText(said)}"/></testcase>`;
    });
    suites.push(suite('boot', 0, cases, record.boots.filter(({ ok }) => !ok).length, 0));
  }
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="pvgrub">\n${suites.join('\n')}\n</testsuites>\n`;
}

function suite(name: string, ms: number, cases: readonly string[], failures: number, skipped: number): string {
  return `  <testsuite name="${name}" tests="${cases.length}" failures="${failures}" errors="0" skipped="${skipped}" time="${seconds(ms)}">\n${cases.join('\n')}\n  </testsuite>`;
}
