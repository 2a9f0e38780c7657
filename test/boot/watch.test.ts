import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { casesFor } from '../../src/boot/cases.ts';
import { type Action, Watch } from '../../src/boot/watch.ts';
import { guestWords, MENU } from '../support/boot-text.ts';

const [disk, partition] = casesFor({ loader: 'pv-grub', arch: 'x86_64', version: '4.17.5' });
if (!disk || !partition) throw new Error('no cases');

/** Feed text in pieces, a millisecond each. */
function watchAll(watch: Watch, text: string, cuts: readonly number[] = []): Action[] {
  const ends = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...ends].flatMap((from, i) => watch.text(text.slice(from, ends[i] ?? text.length), 1000 + i));
}

describe('a watched boot', () => {
  test('sees menu and kernel, and presses keys once, however the text is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 30 }), (cuts) => {
        const watch = new Watch(partition, 0);
        const actions = watchAll(watch, `${MENU}\x1b[H\x1b[J${guestWords('entry=second root=/dev/xvda')}`, cuts);
        expect(watch.menu).toBeGreaterThanOrEqual(1000);
        expect(watch.guest).toBeGreaterThanOrEqual(watch.menu as number);
        expect(watch.report).toMatchObject({ commandLine: 'entry=second root=/dev/xvda' });
        expect(actions).toEqual([
          { type: 'send', bytes: '\x1b[B', afterMs: 0 },
          { type: 'send', bytes: '\r', afterMs: 500 },
          { type: 'finish' },
        ]);
      }),
    );
  });

  test('leaves the menu alone where its time is to run out', () => {
    expect(watchAll(new Watch(disk, 0), MENU)).toEqual([]);
  });

  test('waits with the key until the menu reads keys', () => {
    const title = MENU.slice(0, MENU.indexOf('The highlighted'));
    const watch = new Watch(partition, 0);
    expect(watch.text(title, 1)).toEqual([]);
    expect(watch.menu).toBe(1);
    expect(watch.text(MENU.slice(title.length), 2).length).toBe(2);
  });

  test.each(['\r\ngrub> ', '\ngrubdom> '])('ends at a prompt (%j), but not at a word that looks like one', (prompt) => {
    const watch = new Watch(disk, 0);
    expect(watchAll(watch, prompt)).toEqual([{ type: 'finish' }]);
    expect(watch.prompt).toBe(true);
    const other = new Watch(disk, 0);
    expect(watchAll(other, 'grub> root (hd0)\nmore')).toEqual([]);
    expect(other.prompt).toBe(false);
  });

  test("undoes the guest's quoting", () => {
    const watch = new Watch(disk, 0);
    watchAll(watch, guestWords('a\\5d b\\0a'));
    expect(watch.report?.commandLine).toBe('a] b\n');
  });

  test('a guest that prints for ever costs neither memory nor time without end', () => {
    for (const letter of ['x', ' ', '\x1b[', '\n']) {
      const watch = new Watch(disk, 0);
      for (let i = 0; i < 64; i++) watch.text(letter.repeat(64 * 1024), i);
      expect(watch.console.length).toBeLessThanOrEqual(2 ** 20);
    }
  });
});
