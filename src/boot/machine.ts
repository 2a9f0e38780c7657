import type { Writable } from 'node:stream';
import type { OutputChunk } from '../engine/demux.ts';
import { readable, Splitter } from './console.ts';
import type { Ending } from './judge.ts';
import type { Action } from './watch.ts';

/** Lines of Xen's console that are kept for a log. */
const KEPT = 4000;
/** How often a saved dom0 is told to go on. */
const KNOCK_MS = 200;
/** How much longer than dom0 the harness waits for a case, for what dom0 does before and after it. */
const PATIENCE_MS = 30_000;

/** Who watches one boot: gets the guest's text, says what to do, and keeps what Xen and xl say. */
export interface CaseWatch {
  text(chunk: string, now: number): Action[];
  readonly xen: string[];
  readonly xl: string[];
  /** How many events a case with `stress` sent. */
  events: number;
}

/** One boot, as a machine knows it. */
export interface MachineCase {
  /** The folder of the job disk that it is in. */
  id: string;
  /** Seconds that dom0 gives it. */
  limit: number;
}

/** What a machine's two serial ports are for, and how long each may be silent. */
export interface MachineOptions<Case extends MachineCase, Watcher extends CaseWatch> {
  nonce: string;
  cases: readonly Case[];
  /** From a saved state: dom0 waits for our word already. */
  saved: boolean;
  /** How long dom0 may take to come up, in milliseconds. */
  startMs: number;
  /** A case begins; undefined: it is left out. */
  begun: (entry: Case, now: number) => Watcher | undefined;
  /** A case has ended. */
  ended: (entry: Case, watch: Watcher, ending: Ending) => void;
  /** Called when the machine has to be stopped: it did not come up, or hangs. */
  stop: () => void;
}

/**
 * One run of the boot container, as its ports tell it: gives dom0 the word to go on, has each case watched, presses the
 * keys that are wanted. Timers are its only effect; ended with {@link Machine.over}.
 */
export class Machine<Case extends MachineCase, Watcher extends CaseWatch> {
  private readonly options: MachineOptions<Case, Watcher>;
  private readonly splitter: Splitter;
  private readonly errors: string[] = [];
  private readonly timers = new Set<NodeJS.Timeout>();
  private deadline: NodeJS.Timeout | undefined;
  private knock: NodeJS.Timeout | undefined;
  private input: Writable | undefined;
  private current: { entry: Case; watch: Watcher } | undefined;
  private errorRest = '';
  private readonly gone = new Set<Case>();
  /** dom0 came up and has the job; with it, Xen's version. */
  hypervisor: string | undefined;
  /** All cases were gone through. */
  done = false;
  /** What dom0 said before it gave up. */
  failure: string | undefined;

  constructor(options: MachineOptions<Case, Watcher>) {
    this.options = options;
    this.splitter = new Splitter(options.nonce);
  }

  /** The standard input of the container, once it runs. */
  start(input: Writable): void {
    this.input = input;
    // The connection's end is told by its reading side.
    input.on('error', () => {});
    this.expire(this.options.startMs);
    // What comes before the state is loaded is lost: say it until dom0 answers.
    if (this.options.saved) this.knock = setInterval(() => this.send('\n'), KNOCK_MS);
  }

  /** A piece of the container's output. */
  output({ stream, data }: OutputChunk): void {
    const text = data.toString('latin1');
    if (stream === 'stderr') {
      this.xen(text);
      return;
    }
    for (const piece of this.splitter.feed(text)) {
      if (piece.type === 'word') this.word(piece.words);
      else if (this.current) this.act(this.current.watch.text(piece.text, Date.now()));
    }
  }

  /** The machine is gone: ends the case that was under way, if any. Gives the cases that were not gone through. */
  over(): Case[] {
    if (this.current) this.close({ timedOut: false, machineLost: true });
    this.quiet();
    return this.options.cases.filter((entry) => !this.gone.has(entry));
  }

  /** Stop all timers, however the machine ended: what was under way can still be judged. */
  quiet(): void {
    this.expire(undefined);
    clearInterval(this.knock);
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  /** The last lines of Xen, dom0 and QEMU. */
  log(): string[] {
    return this.errors;
  }

  private xen(text: string): void {
    const lines = (this.errorRest + text).split('\n');
    this.errorRest = lines.pop() as string;
    for (const line of lines.map(readable)) {
      this.errors.push(line);
      // What Xen says of each PVH guest that is made.
      if (/^\(XEN\) HVM .* save: /.test(line)) continue;
      if (line.startsWith('(XEN)') && this.current && this.current.watch.xen.length < 100) this.current.watch.xen.push(line);
    }
    if (this.errors.length > KEPT) this.errors.splice(0, this.errors.length - KEPT);
  }

  private word(words: string): void {
    const [verb, id = '', ...rest] = words.split(' ');
    switch (verb) {
      case 'ready':
        // Later it would be a guest that says so.
        if (this.hypervisor === undefined) this.send('\n');
        break;
      case 'failed':
        if (this.hypervisor === undefined) this.failure = words.slice('failed '.length);
        break;
      case 'begin':
        clearInterval(this.knock);
        this.hypervisor = [id, ...rest].join(' ').trim();
        break;
      case 'case': {
        const entry = this.options.cases.find((one) => one.id === id);
        if (!entry) return;
        this.begin(entry);
        break;
      }
      case 'xl':
        this.current?.watch.xl.push(readable(words.slice('xl '.length)));
        break;
      case 'end': {
        // What `timeout -s KILL` ends with.
        this.close({ timedOut: Number(rest[0]) === 137, machineLost: false });
        break;
      }
      case 'stress':
        if (this.current) this.current.watch.events = Number(id);
        break;
      case 'done':
        this.done = true;
        this.expire(PATIENCE_MS);
        break;
    }
  }

  private begin(entry: Case): void {
    const watch = this.options.begun(entry, Date.now());
    if (watch === undefined) {
      this.expire(PATIENCE_MS);
      this.gone.add(entry);
      this.send('skip\n');
      return;
    }
    this.current = { entry, watch };
    this.expire(entry.limit * 1000 + PATIENCE_MS);
    this.send('go\n');
  }

  private close(ending: Ending): void {
    if (!this.current) return;
    const { entry, watch } = this.current;
    this.current = undefined;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.gone.add(entry);
    this.options.ended(entry, watch, ending);
  }

  private act(actions: readonly Action[]): void {
    for (const action of actions) {
      // Ctrl-], alone in a read, is how xenconsole is left.
      if (action.type === 'finish') this.later(200, '\x1d');
      else this.later(action.afterMs, action.bytes);
    }
  }

  /** Keys that somebody presses; dom0 has them for the guest while a case is under way. */
  type(bytes: Uint8Array): void {
    if (this.current) this.input?.write(bytes);
  }

  private later(ms: number, bytes: string): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.send(bytes);
    }, ms);
    this.timers.add(timer);
  }

  private send(bytes: string): void {
    this.input?.write(Buffer.from(bytes, 'latin1'));
  }

  private expire(ms: number | undefined): void {
    clearTimeout(this.deadline);
    if (ms !== undefined) this.deadline = setTimeout(() => this.options.stop(), ms);
  }
}
