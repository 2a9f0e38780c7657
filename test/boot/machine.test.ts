import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { casesFor } from '../../src/boot/cases.ts';
import { jobCases } from '../../src/boot/job.ts';
import { judging } from '../../src/boot/judging.ts';
import { Machine } from '../../src/boot/machine.ts';
import type { BootSubject, CaseResult } from '../../src/boot/types.ts';
import { guestWords, MENU } from '../support/boot-text.ts';

const NONCE = 'secret';
const cases = casesFor({ loader: 'pv-grub', arch: 'x86_64', version: '4.17.5' }).slice(0, 2);
const subject: BootSubject = { id: 'image', image: Buffer.from('image'), arch: 'x86_64', cases };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A machine whose ports the test holds. */
function held(saved = true) {
  const results: [string, CaseResult][] = [];
  let stopped = false;
  const machine = new Machine({
    nonce: NONCE,
    cases: jobCases([subject]),
    ...judging({ hopeless: new Set(), alive: new Set() }, (entry, result) => void results.push([entry.id, result])),
    saved,
    startMs: 10_000,
    stop: () => {
      stopped = true;
    },
  });
  const input = new PassThrough();
  const sent = () => String(input.read() ?? '');
  const say = (text: string) => machine.output({ stream: 'stdout', data: Buffer.from(text, 'latin1') });
  const word = (words: string) => say(`\x1e${NONCE} ${words}\r\n`);
  machine.start(input);
  return { machine, results, sent, say, word, stopped: () => stopped };
}

describe('a machine', () => {
  test('from a saved state is told to go on until it answers', () => {
    const { sent, word, machine } = held();
    vi.advanceTimersByTime(1000);
    expect(sent()).toMatch(/^\n{4,6}$/);
    word('begin 4.17.5');
    vi.advanceTimersByTime(1000);
    expect(sent()).toBe('');
    expect(machine.hypervisor).toBe('4.17.5');
  });

  test('from power-on is told to go on once, when it is ready', () => {
    const { sent, say } = held(false);
    vi.advanceTimersByTime(1000);
    expect(sent()).toBe('');
    say('\x1eready\n');
    expect(sent()).toBe('\n');
  });

  test('that does not come up in time is stopped, with all cases left', () => {
    const { machine, stopped } = held();
    vi.advanceTimersByTime(10_001);
    expect(stopped()).toBe(true);
    expect(machine.over().length).toBe(2);
  });

  test('leaves no timer behind when it is given up', () => {
    const { machine, word, say } = held();
    word('case 001');
    say(MENU + guestWords('entry=first root=/dev/xvda'));
    expect(vi.getTimerCount()).toBeGreaterThan(1);
    machine.quiet();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('goes through the cases: keys are pressed, each is judged as it ends, and nothing is left', () => {
    const { machine, results, sent, say, word, stopped } = held();
    word('begin 4.17.5');
    word('case 001');
    say(MENU + guestWords('entry=first root=/dev/xvda'));
    sent();
    vi.advanceTimersByTime(200);
    expect(sent()).toBe('\x1d');
    word('end 001 0');
    word('case 002');
    expect(sent()).toBe('go\n');
    say(MENU);
    vi.advanceTimersByTime(600);
    expect(sent()).toBe('\x1b[B\r');
    machine.output({ stream: 'stderr', data: Buffer.from('(XEN) d2v0 Unhandled page fault\n') });
    word('xl some complaint');
    word('end 002 1');
    word('done');
    expect(results).toMatchObject([
      ['001', { ok: true }],
      [
        '002',
        {
          ok: false,
          said: expect.stringContaining('crashed after its menu'),
          diagnosis: ['(XEN) d2v0 Unhandled page fault', 'some complaint'],
        },
      ],
    ]);
    expect(machine.over()).toEqual([]);
    expect(machine.done).toBe(true);
    vi.advanceTimersByTime(10_001);
    expect(stopped()).toBe(false);
  });

  test('that hangs in a case is stopped; the case is lost with it, the next is left', () => {
    const { machine, results, word, say, stopped } = held();
    word('begin 4.17.5');
    word('case 001');
    say('something');
    vi.advanceTimersByTime((cases[0]?.limit ?? 0) * 1000 + 29_000);
    expect(stopped()).toBe(false);
    vi.advanceTimersByTime(2000);
    expect(stopped()).toBe(true);
    expect(machine.over().map(({ id }) => id)).toEqual(['002']);
    expect(results).toMatchObject([['001', { ok: false, said: expect.stringContaining('took the hypervisor or dom0 down') }]]);
  });

  test('an image that never came to a menu is not tried again; its other cases fail', () => {
    const { machine, results, sent, word } = held();
    word('begin 4.17.5');
    word('case 001');
    expect(sent()).toBe('go\n');
    word('end 001 0');
    word('case 002');
    expect(sent()).toBe('skip\n');
    word('done');
    expect(results).toMatchObject([
      ['001', { ok: false, said: 'it ended without a word' }],
      ['002', { ok: false, said: expect.stringMatching(/^not tried/) }],
    ]);
    expect(machine.over()).toEqual([]);
  });

  test('an image that came to a menu once is tried again after a silent case', () => {
    const { results, sent, word, say } = held();
    word('begin 4.17.5');
    word('case 001');
    say(MENU);
    word('end 001 0');
    word('case 002');
    word('end 002 0');
    expect(results.map(([, { said }]) => said)).toEqual([expect.stringMatching(/menu came/), 'it ended without a word']);
    sent();
    word('case 001');
    expect(sent()).toBe('go\n');
  });

  test('ready and failed, said by a guest, move nothing', () => {
    const { machine, sent, say, word } = held();
    word('begin 4.17.5');
    sent();
    say('\x1eready\n\x1efailed for fun\n');
    expect(sent()).toBe('');
    expect(machine.failure).toBeUndefined();
  });

  test('a guest cannot end its own case', () => {
    const { results, word, say } = held();
    word('begin 4.17.5');
    word('case 001');
    say('\x1eend 001 0\n\x1edone\n');
    expect(results).toEqual([]);
  });

  test('a case that nobody asked for is not gone through', () => {
    const { machine, word } = held();
    word('begin 4.17.5');
    word('case 999');
    expect(machine.over().length).toBe(2);
  });
});
