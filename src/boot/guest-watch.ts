import { readable } from './console.ts';
import type { Ending } from './judge.ts';
import type { CaseWatch } from './machine.ts';
import type { Action } from './watch.ts';

/** How far a guest is to come before it is stopped: to its menu, to its kernel, to a prompt for a user's name. */
export type Goal = 'menu' | 'kernel' | 'login';

/** What came of a guest's own disk. Milliseconds from the domain's start. */
export interface GuestOutcome {
  menu: number | undefined;
  kernel: number | undefined;
  login: number | undefined;
  /** One line: how far it came, and what stopped it. */
  said: string;
  /** It came as far as was wanted. */
  ok: boolean;
}

const MENU = /GNU GRUB +version [\s\S]*(select which entry|highlighted entry will be)/;
/** With `hiddenmenu`, or GRUB 2's timeout_style: the menu comes only when a key is pressed. */
const HIDDEN = /Press [`']?ESC'? (?:key )?to enter the menu/i;
const PROMPT = /^grub(dom)?>\s*$(?![\s\S])/m;
const WAITS = /Press any key to continue/;
/** What kernels and their first programs say: Linux with its clock, its version, Debian's initramfs, systemd, and the BSDs. */
/** What GRUB 2 says and waits for a key may be harmless (a disk that it cannot write to): these are not. */
const FATAL = /Error \d+: |need to load the kernel first/;
const KERNEL = /^\[ +\d+\.\d{6}\]|Linux version \d|^Loading, please wait|^Begin: |Welcome to (?!GRUB).*!|^(?:NetBSD|FreeBSD) \d/m;
const LOGIN = /^[^\n]*\blogin: *$(?![\s\S])/m;
const PANIC =
  /Kernel panic - not syncing: [^\n]*|ALERT! +[^\n]* does not exist[^\n]*|Cannot open root device[^\n]*|Gave up waiting for root[^\n]*/;
const CRASH = /Unhandled|crashed on cpu|domain_crash|general protection|Triple fault/i;
const REFUSED = /panic:|error:|failed|Invalid kernel|unable to/i;
const ERROR = /^.*\b(Error \d+: .*|error: .*|xc: error: .*|panic: .*)$/m;

/** Watches a guest that boots from its own disk: says when the menu, the kernel, the login came. Pure but for its own state. */
export class GuestWatch implements CaseWatch {
  private readonly started: number;
  private readonly goal: Goal;
  /** Somebody sits at the keyboard: nothing is pressed or ended for them. */
  private readonly attended: boolean;
  private readonly show: (text: string) => void;
  private raw = '';
  private finished = false;
  private pressed = false;
  private answered = false;
  private menu: number | undefined;
  private kernel: number | undefined;
  private login: number | undefined;
  private trouble: string | undefined;
  readonly xen: string[] = [];
  readonly xl: string[] = [];
  events = 0;

  constructor(options: { now: number; goal: Goal; attended: boolean; show: (text: string) => void }) {
    this.started = options.now;
    this.goal = options.goal;
    this.attended = options.attended;
    this.show = options.show;
  }

  text(chunk: string, now: number): Action[] {
    this.show(chunk);
    this.raw += chunk;
    // News is in the last screenfuls; a guest that prints for ever must not fill the memory.
    if (this.raw.length > 1 << 16) this.raw = this.raw.slice(-(1 << 15));
    const recent = readable(this.raw.slice(-16384));
    const since = now - this.started;
    if (MENU.test(recent) || HIDDEN.test(recent)) this.menu ??= since;
    if (KERNEL.test(recent)) this.kernel ??= since;
    if (LOGIN.test(recent)) this.login ??= since;
    if (this.kernel === undefined && (PROMPT.test(recent) || (WAITS.test(recent) && FATAL.test(recent))))
      this.trouble ??= (ERROR.exec(recent)?.[0] ?? "the loader's prompt").trim();
    const panic = PANIC.exec(recent)?.[0];
    if (panic !== undefined) this.trouble ??= panic.trim();
    if (this.attended) return [];
    const actions: Action[] = [];
    // What would be booted after a while is booted now.
    if (this.menu !== undefined && !this.pressed && this.kernel === undefined && this.goal !== 'menu') {
      this.pressed = true;
      actions.push({ type: 'send', bytes: '\r', afterMs: 1000 });
    }
    if (!this.answered && this.kernel === undefined && this.trouble === undefined && WAITS.test(recent)) {
      this.answered = true;
      actions.push({ type: 'send', bytes: '\r', afterMs: 500 });
    }
    if (!this.finished && (this[this.goal] !== undefined || this.trouble !== undefined)) {
      this.finished = true;
      actions.push({ type: 'finish' });
    }
    return actions;
  }

  /** What Xen and xl said. */
  get diagnosis(): string[] {
    return [...this.xen, ...this.xl.filter((line) => !line.startsWith('Parsing config'))];
  }

  /** What came of it. */
  outcome(ending: Ending): GuestOutcome {
    const { menu, kernel, login, goal } = this;
    const crash = this.xen.find((line) => CRASH.test(line));
    const refusal = this.xl.find((line) => REFUSED.test(line));
    const reached = goal === 'menu' ? menu : goal === 'kernel' ? kernel : login;
    const far =
      login !== undefined
        ? 'the login came'
        : kernel !== undefined
          ? 'its kernel started'
          : menu !== undefined
            ? 'the menu came, but no kernel'
            : 'no menu came';
    const reasons = [
      ...(this.trouble === undefined ? [] : [this.trouble]),
      ...(crash === undefined ? [] : [`it crashed: ${crash}`]),
      ...(ending.machineLost ? ['the hypervisor or dom0 is gone'] : []),
      ...(refusal !== undefined && kernel === undefined ? [`xl says: ${refusal}`] : []),
      ...(ending.timedOut ? ['its time was over'] : []),
    ];
    const ok = reached !== undefined && !ending.machineLost;
    const why = ok ? [] : reasons.length > 0 ? reasons : ['the guest ended'];
    return { menu, kernel, login, ok, said: [far, ...why].join('; ') };
  }
}
