import { readable } from './console.ts';
import type { BootCase, GuestReport } from './types.ts';

/** What the harness should do now. */
export type Action = { type: 'send'; bytes: string; afterMs: number } | { type: 'finish' };

const MENU = /GNU GRUB +version [\s\S]*select which entry/;
const MENU_WAITS = /highlighted entry will be (booted|executed) automatically/;
const PROMPT = /^grub(dom)?>\s*$(?![\s\S])/m;
const ANY_KEY = /Press any key to continue/;
const REPORT = /pvgrub-guest: how=\[([^\]]*)\] cmdline=\[([^\]]*)\] module=(\d+):([0-9a-f]{8}) freight=(\d+):([0-9a-f]{8})/;
const DONE = /pvgrub-guest: done/;
const LINUX = /pvgrub-linux: up, \S+, ([^\n]*)\n/;

/** Undo the test guest's quoting: \xx for bytes that are not printable. */
function unquoted(text: string): string {
  return text.replace(/\\([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/**
 * Watches one boot: the console's text and Xen's lines in, what to do out. Pure but for its own state; times are
 * milliseconds of the caller's clock.
 */
export class Watch {
  readonly bootCase: BootCase;
  private readonly started: number;
  private raw = '';
  private pressed = false;
  private finished = false;
  /** Milliseconds from the start. */
  menu: number | undefined;
  guest: number | undefined;
  report: GuestReport | undefined;
  /** The command line of a Linux that is up. */
  linux: string | undefined;
  prompt = false;
  /** A loader's error that waits for a key. */
  waits = false;
  /** How many events a case with `stress` sent. */
  events = 0;
  readonly xen: string[] = [];
  readonly xl: string[] = [];

  constructor(bootCase: BootCase, now: number) {
    this.bootCase = bootCase;
    this.started = now;
  }

  /** The console so far, readable. */
  get console(): string {
    return readable(this.raw);
  }

  /** The loader came as far as its menu, its prompt or a kernel. */
  get alive(): boolean {
    return this.menu !== undefined || this.prompt || this.waits || this.guest !== undefined;
  }

  /** Text of the guest's console. */
  text(chunk: string, now: number): Action[] {
    this.raw += chunk;
    // Only what comes after the last screenful can be news; a guest that prints for ever must not fill the memory.
    if (this.raw.length > 1 << 20) this.raw = this.raw.slice(-(1 << 19));
    const recent = readable(this.raw.slice(-16384));
    const since = now - this.started;
    const actions: Action[] = [];
    if (this.menu === undefined && MENU.test(recent)) this.menu = since;
    if (!this.pressed && this.menu !== undefined && MENU_WAITS.test(recent)) actions.push(...this.press());
    const report = this.report === undefined ? REPORT.exec(recent) : null;
    if (report) {
      const [, how = '', commandLine = '', moduleSize, moduleCrc = '', freightSize, freightCrc = ''] = report;
      this.guest = since;
      this.report = {
        how: unquoted(how),
        commandLine: unquoted(commandLine),
        module: { size: Number(moduleSize), crc: moduleCrc },
        freight: { size: Number(freightSize), crc: freightCrc },
      };
    }
    const linux = this.linux === undefined ? LINUX.exec(recent) : null;
    if (linux) {
      this.linux = linux[1] ?? '';
      this.guest = since;
    }
    if (PROMPT.test(recent)) this.prompt = true;
    if (ANY_KEY.test(recent)) this.waits = true;
    const over = DONE.test(recent) || this.linux !== undefined || this.prompt || this.waits;
    if (over && !this.finished) {
      this.finished = true;
      actions.push({ type: 'finish' });
    }
    return actions;
  }

  private press(): Action[] {
    this.pressed = true;
    const key = (bytes: string, afterMs: number): Action => ({ type: 'send', bytes, afterMs });
    switch (this.bootCase.keys) {
      case 'none':
        return [];
      case 'return':
        return [key('\r', 0)];
      case 'second':
        // Apart, so that the end of the arrow's sequence is not taken for another key.
        return [key('\x1b[B', 0), key('\r', 500)];
    }
  }
}
