import { stripVTControlCharacters } from 'node:util';

/** dom0 tells its words on the guests' console in lines that begin with this character (boot/dom0/init). */
const MARK = '\x1e';
/** Longer lines are no words of dom0. */
const LONGEST = 4096;

/** A word of dom0, or text of a guest. */
export type Piece = { type: 'word'; words: string } | { type: 'text'; text: string };

/**
 * Splits the second serial port's bytes into dom0's words and guests' text, as they arrive. A guest can print the mark,
 * so words count only with the run's own secret in front (but `ready` and `failed`, which come before any guest).
 */
export class Splitter {
  private pending = '';
  private readonly nonce: string;

  constructor(nonce: string) {
    this.nonce = nonce;
  }

  /** @param chunk Latin-1 text */
  feed(chunk: string): Piece[] {
    const pieces: Piece[] = [];
    const text = (part: string) => {
      if (part !== '') pieces.push({ type: 'text', text: part });
    };
    let rest = this.pending + chunk;
    this.pending = '';
    for (;;) {
      const mark = rest.indexOf(MARK);
      if (mark < 0) {
        text(rest);
        return pieces;
      }
      text(rest.slice(0, mark));
      const end = rest.indexOf('\n', mark);
      if (end < 0) {
        // It may still become a word.
        if (rest.length - mark < LONGEST) this.pending = rest.slice(mark);
        else text(rest.slice(mark));
        return pieces;
      }
      // Another mark before the end: what stands before it is a guest's.
      const next = rest.indexOf(MARK, mark + 1);
      if (next >= 0 && next < end) {
        text(rest.slice(mark, next));
        rest = rest.slice(next);
        continue;
      }
      const line = rest.slice(mark + 1, end).replace(/\r$/, '');
      if (line.startsWith(`${this.nonce} `)) pieces.push({ type: 'word', words: line.slice(this.nonce.length + 1) });
      else if (/^(ready$|failed )/.test(line)) pieces.push({ type: 'word', words: line });
      else text(rest.slice(mark, end + 1));
      rest = rest.slice(end + 1);
    }
  }
}

/** What a person would read of a console: without control sequences and carriage returns, blank runs shortened. */
export function readable(text: string): string {
  // Moving the cursor begins something new: else words of a menu run into each other.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the control sequences of ECMA-48 are what it is about
  const lines = text.replace(/\x1b\[\d*(;\d*)?H/g, '\n');
  return (
    stripVTControlCharacters(lines)
      .replaceAll('\r', '')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: other control characters say nothing
      .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '')
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n')
      .replace(/\n{2,}/g, '\n')
  );
}
