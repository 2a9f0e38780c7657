import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { afterAll } from 'vitest';

type Answer = { id?: number; method?: string; sessionId?: string; result?: Record<string, unknown>; error?: { message: string } };

/** A headless Chromium, driven over its DevTools protocol on a pipe: messages of JSON, each ended by a zero byte. */
export class Chromium {
  private readonly child: ChildProcess;
  private next = 1;
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private session = '';
  private loaded: () => void = () => {};

  constructor() {
    const profile = mkdtempSync(join(tmpdir(), 'pvgrub-chromium-'));
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--remote-debugging-pipe'];
    this.child = spawn('chromium', [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    let text = '';
    (this.child.stdio[4] as Readable).on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      const parts = text.split('\0');
      text = parts.pop() ?? '';
      for (const part of parts) this.take(JSON.parse(part) as Answer);
    });
    afterAll(async () => {
      const gone = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.kill('SIGKILL');
      await gone;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    });
  }

  private take(answer: Answer): void {
    if (answer.method === 'Page.loadEventFired') this.loaded();
    if (answer.id !== undefined) this.waiting.get(answer.id)?.(answer);
  }

  /** One command of the protocol. */
  async send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = this.next++;
    const answer = await new Promise<Answer>((resolve) => {
      this.waiting.set(id, resolve);
      const session = this.session === '' ? {} : { sessionId: this.session };
      (this.child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    });
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result ?? {};
  }

  /** Open a page of its own. */
  async open(url: string, { width, dark = false, scripts = true }: { width: number; dark?: boolean; scripts?: boolean }): Promise<void> {
    this.session = '';
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    this.session = sessionId as string;
    await this.send('Page.enable');
    await this.send('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: width < 600 });
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] });
    await this.send('Emulation.setScriptExecutionDisabled', { value: !scripts });
    const done = new Promise<void>((resolve) => {
      this.loaded = resolve;
    });
    await this.send('Page.navigate', { url });
    await done;
  }

  /** The value of an expression in the page. */
  async value<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  }

  /** A picture of the page, as PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.send('Page.captureScreenshot', { captureBeyondViewport: true });
    return Buffer.from(data as string, 'base64');
  }
}
