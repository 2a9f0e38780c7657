import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Piece, readable, Splitter } from '../../src/boot/console.ts';

const NONCE = 'c0ffee';

/** Feed in pieces that end where asked, and join the text between words again. */
function split(text: string, cuts: readonly number[] = []): Piece[] {
  const splitter = new Splitter(NONCE);
  const ends = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  const chunks = [0, ...ends].map((from, i) => text.slice(from, ends[i] ?? text.length));
  const joined: Piece[] = [];
  for (const piece of chunks.flatMap((chunk) => splitter.feed(chunk))) {
    const last = joined.at(-1);
    if (piece.type === 'text' && last?.type === 'text') last.text += piece.text;
    else joined.push({ ...piece });
  }
  return joined;
}

describe("words of dom0 among a guest's text", () => {
  const wordText = fc.stringMatching(/^[a-z]+( [a-z0-9:]+){0,3}$/);
  const guestText = fc.string({ unit: fc.constantFrom('a', 'Z', ' ', '\n', '\r', '\x1b', '[', '\xff'), maxLength: 40 });
  const part = fc.oneof(
    wordText.map((words): Piece => ({ type: 'word', words })),
    guestText.map((text): Piece => ({ type: 'text', text })),
  );

  test('come out whole and in order, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }), (parts, cuts) => {
        const text = parts.map((one) => (one.type === 'word' ? `\x1e${NONCE} ${one.words}\r\n` : one.text)).join('');
        const expected = split(text);
        expect(split(text, cuts)).toEqual(expected);
        expect(expected.flatMap((one) => (one.type === 'word' ? [one.words] : []))).toEqual(
          parts.flatMap((one) => (one.type === 'word' ? [one.words] : [])),
        );
        const said = (pieces: Piece[]) => pieces.map((one) => (one.type === 'text' ? one.text : '')).join('');
        expect(said(expected)).toBe(said(parts));
      }),
    );
  });

  test('a guest that prints the mark without the secret says no word, and nothing of it is lost', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 30 }), fc.array(fc.nat(), { maxLength: 5 }), (junk, cuts) => {
        const line = `\x1eend 001 0 ${junk.replaceAll('\x1e', '').replaceAll('\n', '')}\n`;
        expect(split(line, cuts)).toEqual([{ type: 'text', text: line }]);
      }),
    );
  });

  test('a guest that leaves a mark without an end swallows no word of dom0', () => {
    expect(split(`\x1eend 001${'\x1e'}${NONCE} end 001 0\r\n`)).toEqual([
      { type: 'text', text: '\x1eend 001' },
      { type: 'word', words: 'end 001 0' },
    ]);
  });

  test('a mark without an end holds nothing back for ever', () => {
    const long = `\x1e${'x'.repeat(5000)}`;
    expect(split(long)).toEqual([{ type: 'text', text: long }]);
  });

  test('only what comes before any guest does without the secret', () => {
    expect(split('\x1eready\n\x1efailed no store\n')).toEqual([
      { type: 'word', words: 'ready' },
      { type: 'word', words: 'failed no store' },
    ]);
  });
});

test('a readable console has no control characters, and words stay apart where the cursor jumps', () => {
  expect(readable('\x1b[1;1H GNU\x1b[2;3Hentry\x1b[0m\r\n\r\n\r\nend  \n')).toBe('\n GNU\nentry\nend\n');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      expect(readable(text).replaceAll(/[\n\t]/g, '')).not.toMatch(/\p{Cc}/u);
    }),
  );
});
