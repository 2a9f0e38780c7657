import { UsageError } from '../../errors.ts';

/**
 * A domain's configuration as xl and xm read it (xl.cfg(5)): assignments of strings, numbers and lists. Where what
 * stands is remembered, so that it can be changed without touching anything else. xm's files were Python: what goes
 * beyond assignments is left as it is, and told where it matters. Pure.
 */

/** A value; `undefined` for an expression that only Python could work out. */
export type XlValue = string | number | XlValue[] | undefined;

/** One assignment. */
export interface Assignment {
  name: string;
  value: XlValue;
  /** Line of the file, from 1. */
  line: number;
  /** Where it begins and ends, without the comment after it. */
  start: number;
  end: number;
  /** Where its value begins. */
  valueStart: number;
  /** With "+=": what was assigned before goes on. */
  more: boolean;
  /** It stands within a Python block. */
  indented: boolean;
}

/** A file, read. */
export interface XlConfig {
  text: string;
  assignments: Assignment[];
  /** Lines that are no assignment: Python. */
  other: { line: number; text: string }[];
}

/** A configuration has some kilobytes. */
const MAX = 2 ** 20;
/** Lists within lists. */
const MAX_DEPTH = 20;

class Cut extends Error {}

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' };

/** Reads values at a place of a text. */
class Values {
  private readonly text: string;
  at: number;

  constructor(text: string, at: number) {
    this.text = text;
    this.at = at;
  }

  /** Blanks; within a list also line ends and comments. */
  skip(lines: boolean): void {
    for (;;) {
      const c = this.text[this.at];
      if (c === ' ' || c === '\t' || c === '\r' || (lines && c === '\n')) this.at++;
      else if (lines && c === '#') while (this.at < this.text.length && this.text[this.at] !== '\n') this.at++;
      else if (c === '\\' && this.text[this.at + 1] === '\n') this.at += 2;
      else return;
    }
  }

  private string(): string {
    const quote = this.text[this.at++];
    let result = '';
    for (;;) {
      const c = this.text[this.at++];
      if (c === undefined || c === '\n') throw new Cut('a string does not end');
      if (c === quote) return result;
      if (c !== '\\') {
        result += c;
        continue;
      }
      const next = this.text[this.at++];
      const hex = /^x([0-9A-Fa-f]{2})/.exec(this.text.slice(this.at - 1, this.at + 2));
      if (next === undefined) throw new Cut('a string does not end');
      if (hex) {
        result += String.fromCharCode(Number.parseInt(hex[1] as string, 16));
        this.at += 2;
      } else if (next !== '\n') result += ESCAPES[next] ?? next;
    }
  }

  /** @throws Cut where it does not end */
  value(depth = 0): XlValue {
    const c = this.text[this.at];
    if (c === '"' || c === "'") return this.string();
    if (c === '[') {
      if (depth === MAX_DEPTH) throw new Cut('lists are nested too deep');
      this.at++;
      const list: XlValue[] = [];
      for (;;) {
        this.skip(true);
        if (this.text[this.at] === undefined) throw new Cut('a list does not end');
        if (this.text[this.at] === ']') {
          this.at++;
          return list;
        }
        if (this.text[this.at] === ',') {
          this.at++;
          continue;
        }
        const before = this.at;
        list.push(this.value(depth + 1));
        if (this.at === before) throw new Cut('a list has something in it that is no value');
      }
    }
    const number = /^-?\d[\da-fA-FxX]*/.exec(this.text.slice(this.at, this.at + 40))?.[0];
    if (number === undefined) return undefined;
    this.at += number.length;
    return Number(number);
  }
}

/** The end of an expression that is not read: of its line, outside of strings and brackets. */
function expressionEnd(text: string, from: number): number {
  let depth = 0;
  let at = from;
  for (; at < text.length; at++) {
    const c = text[at] as string;
    if (c === '"' || c === "'") {
      const triple = text.startsWith(c.repeat(3), at) ? c.repeat(3) : c;
      const end = text.indexOf(triple, at + triple.length);
      if (end < 0) return text.length;
      at = end + triple.length - 1;
    } else if ('([{'.includes(c)) depth++;
    else if (')]}'.includes(c)) depth--;
    else if (c === '#' || ((c === '\n' || c === ';') && depth <= 0)) break;
  }
  return text.slice(0, at).trimEnd().length < from ? from : text.slice(from, at).trimEnd().length + from;
}

const ASSIGNMENT = /^([ \t]*)([A-Za-z_]\w*)[ \t]*(\+?)=(?!=)[ \t]*/;

/**
 * Read a configuration.
 * @param where what to call it in errors
 * @throws UsageError DOMAIN_INVALID where a string or list does not end, or it is too large to be one
 */
export function parseXlConfig(text: string, where: string): XlConfig {
  const invalid = (line: number, what: string) =>
    new UsageError('DOMAIN_INVALID', `${where}, line ${line}: ${what}`, {
      expected: 'a domain configuration as xl.cfg(5) describes it, or libvirt XML',
    });
  if (text.length > MAX) throw invalid(1, `it is larger than ${MAX} bytes`);
  const config: XlConfig = { text, assignments: [], other: [] };
  let line = 1;
  let counted = 0;
  const lineAt = (at: number) => {
    for (; counted < at; counted++) if (text[counted] === '\n') line++;
    return line;
  };
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at, at + 300);
    const blank = /^[ \t\r]*(?:;|\n|$)/.exec(rest);
    if (blank) {
      at += Math.max(blank[0].length, 1);
      continue;
    }
    const endOfLine = () => {
      const end = text.indexOf('\n', at);
      return end < 0 ? text.length : end + 1;
    };
    if (/^[ \t\r]*#/.test(rest)) {
      at = endOfLine();
      continue;
    }
    const match = ASSIGNMENT.exec(rest);
    if (!match) {
      const end = endOfLine();
      config.other.push({ line: lineAt(at), text: text.slice(at, end).trim() });
      at = end;
      continue;
    }
    const [whole, indent = '', name = '', plus = ''] = match;
    const start = at + indent.length;
    const valueStart = at + whole.length;
    const number = lineAt(start);
    const reader = new Values(text, valueStart);
    let value: XlValue;
    try {
      value = reader.value();
      const valueEnd = reader.at;
      reader.skip(false);
      const next = text[reader.at];
      // Something else follows: an expression.
      if (value === undefined || !(next === undefined || '\n;#'.includes(next))) {
        value = undefined;
        reader.at = expressionEnd(text, valueStart);
      } else reader.at = valueEnd;
    } catch (error) {
      if (error instanceof Cut) throw invalid(number, error.message);
      throw error;
    }
    config.assignments.push({
      name,
      value,
      line: number,
      start,
      end: reader.at,
      valueStart,
      more: plus !== '',
      indented: indent !== '' && (start === indent.length || text[start - indent.length - 1] === '\n'),
    });
    // What follows on the line is a comment, or another assignment.
    const after = /^[ \t\r]*(?:;|#[^\n]*)?/.exec(text.slice(reader.at, reader.at + 10_000))?.[0].length ?? 0;
    at = Math.max(reader.at + after, at + 1);
  }
  return config;
}

/** What a name has in the end: the last assignment counts, as for xl, and "+=" goes on with strings and lists. */
export function assignedValue({ assignments }: XlConfig, name: string): XlValue {
  let result: XlValue;
  for (const { name: own, value, more } of assignments) {
    if (own !== name) continue;
    if (more && Array.isArray(result) && Array.isArray(value)) result = [...result, ...value];
    else if (more && typeof result === 'string' && typeof value === 'string') result += value;
    else result = value;
  }
  return result;
}

/** A string as it is written there. */
export function xlString(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
