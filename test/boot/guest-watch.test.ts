import { describe, expect, test } from 'vitest';
import { guestConfig } from '../../src/boot/guest.ts';
import { type Goal, GuestWatch } from '../../src/boot/guest-watch.ts';
import { MENU } from '../support/boot-text.ts';

const watch = (goal: Goal = 'kernel', attended = false) => {
  let shown = '';
  const show = (text: string) => {
    shown += text;
  };
  const one = new GuestWatch({ now: 0, goal, attended, show });
  return { one, shown: () => shown };
};
const ended = { timedOut: false, machineLost: false };
const LINUX = '[    0.000000] Linux version 6.1.0-9-amd64\r\n';

describe('a guest that boots from its own disk', () => {
  test('is helped past its menu, and stopped when its kernel has come', () => {
    const { one, shown } = watch();
    expect(one.text(MENU, 3000)).toEqual([{ type: 'send', bytes: '\r', afterMs: 1000 }]);
    expect(one.text('Booting\r\n', 4000)).toEqual([]);
    expect(one.text(LINUX, 9000)).toEqual([{ type: 'finish' }]);
    expect(one.text('more', 9100)).toEqual([]);
    expect(one.outcome(ended)).toEqual({ menu: 3000, kernel: 9000, login: undefined, ok: true, said: 'its kernel started' });
    expect(shown()).toBe(`${MENU}Booting\r\n${LINUX}more`);
  });

  test("GRUB 2's own welcome is no kernel; a menu that is hidden is one", () => {
    const { one } = watch();
    one.text('Welcome to GRUB!\r\n', 1000);
    one.text("Press `ESC' to enter the menu... 3", 2000);
    expect(one.outcome(ended)).toMatchObject({
      menu: 2000,
      kernel: undefined,
      ok: false,
      said: 'the menu came, but no kernel; the guest ended',
    });
  });

  test('what GRUB 2 says and goes on from is answered, not taken for the end', () => {
    const { one } = watch();
    one.text(MENU, 1);
    expect(one.text('error: diskfilter writes are not supported.\r\nPress any key to continue...', 2)).toEqual([
      { type: 'send', bytes: '\r', afterMs: 500 },
    ]);
    expect(one.text(LINUX, 3)).toEqual([{ type: 'finish' }]);
    expect(one.outcome(ended)).toMatchObject({ ok: true, said: 'its kernel started' });
  });

  test('that somebody watches is neither helped nor stopped', () => {
    const { one } = watch('kernel', true);
    expect([...one.text(MENU, 1), ...one.text(LINUX, 2), ...one.text('grubdom> ', 3)]).toEqual([]);
  });

  test('goes on to its login where that is wanted', () => {
    const { one } = watch('login');
    expect(one.text(LINUX, 5000)).toEqual([]);
    expect(one.text('\r\nDebian GNU/Linux 12 vm hvc0\r\n\r\nvm login: ', 30_000)).toEqual([{ type: 'finish' }]);
    expect(one.outcome(ended)).toMatchObject({ login: 30_000, ok: true });
  });

  test.each([
    ['a prompt', 'grubdom> ', "no menu came; the loader's prompt"],
    [
      "the loader's error",
      `${MENU}\r\nError 17: Cannot mount selected partition\r\nPress any key to continue...`,
      'the menu came, but no kernel; Error 17: Cannot mount selected partition',
    ],
  ])('is stopped at %s', (_, text, said) => {
    const { one } = watch();
    expect(one.text(text, 1000)).toContainEqual({ type: 'finish' });
    expect(one.outcome(ended)).toMatchObject({ ok: false, said });
  });

  test('what its kernel cannot do is told, where more was wanted', () => {
    const { one } = watch('login');
    one.text(`${LINUX}[    2.0] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n`, 5000);
    expect(one.outcome(ended)).toMatchObject({
      ok: false,
      said: 'its kernel started; Kernel panic - not syncing: VFS: Unable to mount root fs',
    });
  });

  test('a crash, a refusal of xl, time that is over, a lost machine: each is told', () => {
    const said = (change: (one: GuestWatch) => void, how = ended) => {
      const { one } = watch();
      change(one);
      return one.outcome(how).said;
    };
    expect(said((one) => one.xen.push('(XEN) d1v0 Unhandled page fault'))).toContain('it crashed: (XEN) d1v0');
    expect(said((one) => one.xl.push('xc: error: panic: xc_dom_core.c: no loader'))).toContain('xl says: xc: error');
    expect(said(() => {}, { timedOut: true, machineLost: false })).toBe('no menu came; its time was over');
    expect(said((one) => void one.text(LINUX, 1), { timedOut: false, machineLost: true })).toContain('hypervisor or dom0 is gone');
  });

  test('that prints for ever takes no more memory, and its kernel is still seen', () => {
    const { one } = watch();
    for (let i = 0; i < 200; i++) one.text('x'.repeat(10_000), i);
    one.text(`\r\n${LINUX}`, 1000);
    expect(one.outcome(ended).kernel).toBe(1000);
  });
});

test("its configuration has the machine's further disks under the guest's names, and quotes what it is told", () => {
  const text = guestConfig({
    arch: 'x86_64',
    extra: '(hd0)/a"b\\',
    memory: 300,
    disks: ['xvda1', 'xvdb'].map((vdev) => ({ path: '/p', size: 1, vdev })),
  });
  expect(text).toContain('disk = ["phy:/dev/vdb,xvda1,w", "phy:/dev/vdc,xvdb,w"]');
  expect(text).toContain('extra = "(hd0)/a\\"b\\\\"');
  expect(text).toContain('type = "pv"');
});
