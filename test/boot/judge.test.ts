import { describe, expect, test } from 'vitest';
import { casesFor, linuxCase, stressCase } from '../../src/boot/cases.ts';
import { type Ending, FREIGHT, judge } from '../../src/boot/judge.ts';
import { MODULE } from '../../src/boot/module.ts';
import type { BootCase } from '../../src/boot/types.ts';
import { Watch } from '../../src/boot/watch.ts';
import { guestWords, MENU } from '../support/boot-text.ts';

const kind = { loader: 'pv-grub', arch: 'x86_64', version: '4.17.5' } as const;
const named = (cases: BootCase[], name: string) => {
  const found = cases.find((one) => one.name === name);
  if (!found) throw new Error(`no case ${name}`);
  return found;
};
const disk = named(casesFor(kind), 'disk');
const unread = named(casesFor({ ...kind, version: '4.1.4' }), 'ext4');
const unknown = named(casesFor({ ...kind, version: undefined }), 'ext4');
const FIRST = 'entry=first root=/dev/xvda';

/** Judge a boot by its console and what Xen and xl said of it. */
function judged(bootCase: BootCase, text: string, more: { xen?: string[]; xl?: string[]; events?: number; ending?: Partial<Ending> } = {}) {
  const watch = new Watch(bootCase, 0);
  // In pieces, as it comes: at most what a screen holds.
  for (let at = 0; at < text.length; at += 512) watch.text(text.slice(at, at + 512), 3000);
  watch.xen.push(...(more.xen ?? []));
  watch.xl.push(...(more.xl ?? []));
  watch.events = more.events ?? 0;
  return judge(watch, { timedOut: false, machineLost: false, ...more.ending });
}

describe('a boot is good', () => {
  test('where the menu and the kernel came, with all that was on the disk', () => {
    expect(judged(disk, MENU + guestWords(FIRST))).toMatchObject({
      ok: true,
      menu: 3,
      guest: 3,
      said: 'the guest kernel started',
      diagnosis: [],
    });
  });

  test('where a file system that the loader is known not to read ends at its prompt', () => {
    expect(judged(unread, '\r\ngrub> ')).toMatchObject({ ok: true, said: 'not readable, as is known of this loader' });
    expect(judged(unread, MENU + guestWords(FIRST)).ok).toBe(false);
    expect(judged(unread, '').ok).toBe(false);
  });

  test('where a build of unknown origin can, or says that it cannot; never where it damages what it reads', () => {
    expect(judged(unknown, MENU + guestWords(FIRST))).toMatchObject({ ok: true, said: 'the guest kernel started' });
    expect(judged(unknown, '\r\ngrub> ')).toMatchObject({ ok: true, said: 'this build cannot: its prompt, and no menu' });
    const error = `${MENU}\nError 16: Inconsistent filesystem structure\n\nPress any key to continue...`;
    expect(judged(unknown, error)).toMatchObject({ ok: true, said: expect.stringContaining('Error 16') });
    expect(judged(unknown, MENU + guestWords(FIRST, MODULE.subarray(1))).ok).toBe(false);
    expect(judged(unknown, '').ok).toBe(false);
  });

  test('where a real Linux says so', () => {
    const linux = linuxCase(kind);
    if (!linux) throw new Error('no Linux');
    expect(judged(linux, `${MENU}\npvgrub-linux: up, 6.1.0, ${FIRST} more\n`)).toMatchObject({ ok: true, said: 'Linux started' });
    expect(judged(linux, `${MENU}\npvgrub-linux: up, 6.1.0, root=/dev/sda\n`)).toMatchObject({
      ok: false,
      said: expect.stringMatching(/without "entry=first/),
    });
    expect(judged(linux, MENU, { ending: { timedOut: true } })).toMatchObject({
      ok: false,
      said: expect.stringContaining('no kernel started'),
    });
  });
});

describe('a boot is bad, and its reason is told', () => {
  test('where the guest got something else than the disk has', () => {
    const broken = Buffer.from(MODULE);
    broken[9 * 4096] = 1;
    expect(judged(disk, MENU + guestWords(FIRST, broken)).said).toMatch(/module is not what is on the disk/);
    expect(judged(disk, MENU + guestWords('entry=second')).said).toContain('its command line is "entry=second"');
    const stress = stressCase(kind);
    const whole = MENU + guestWords(FIRST, MODULE, FREIGHT);
    expect(judged(stress, whole, { events: 160 }).ok).toBe(true);
    expect(judged(stress, whole)).toMatchObject({ ok: false, said: expect.stringMatching(/no events were sent/) });
    expect(judged(stress, MENU + guestWords(FIRST, MODULE, '12582912:00000000')).said).toMatch(/kernel is not what is on the disk/);
  });

  test('where the machine went down, though the guest had started', () => {
    expect(judged(disk, MENU + guestWords(FIRST), { ending: { machineLost: true } })).toMatchObject({
      ok: false,
      said: 'it took the hypervisor or dom0 down',
    });
    expect(judged(unread, '\r\ngrub> ', { ending: { machineLost: true } }).ok).toBe(false);
  });

  test('in one line without control characters, whatever the guest reports', () => {
    expect(judged(disk, MENU + guestWords('\\1b\\5d52;x\\0a')).said).toBe(
      'the guest kernel started; its command line is "\\x1b]52;x\\x0a", not "entry=first root=/dev/xvda"',
    );
  });

  test.each<[string, Parameters<typeof judged>[2], RegExp]>([
    ['', { ending: { timedOut: true } }, /^it printed nothing; no more came within 60 s$/],
    ['', {}, /^it ended without a word$/],
    ['', { xl: ['xc: error: panic: xc_dom_core.c:692: no ELF'] }, /^Xen cannot start it: xc: error: panic/],
    [
      '',
      { xen: ['(XEN) d1v0 Unhandled invalid opcode fault/trap [#6, ec=0000]'] },
      /^it crashed before its menu: \(XEN\) d1v0 Unhandled invalid opcode/,
    ],
    [MENU, { xen: ['(XEN) domain_crash called from x.c:1'] }, /^it crashed after its menu/],
    ['Hello\r\n', { ending: { machineLost: true } }, /^it took the hypervisor or dom0 down/],
    ['Hello\r\n', { ending: { timedOut: true } }, /^it printed something, but no menu came; no more came/],
    [MENU, { ending: { timedOut: true } }, /^its menu came, but no kernel started/],
    ['\r\ngrub> ', {}, /^its prompt, and no menu/],
    [`${MENU}\r\ngrub> `, {}, /^its prompt after the menu/],
    [`${MENU}\n Error 15: File not found\n\nPress any key to continue...`, {}, /^the loader stopped: Error 15: File not found/],
  ])('%j %j', (text, more, said) => {
    expect(judged(disk, text, more)).toMatchObject({ ok: false, said: expect.stringMatching(said) });
  });
});
