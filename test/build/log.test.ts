import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BuildLog } from '../../src/build/log.ts';
import { PHASE_MARK } from '../../src/build/scripts.ts';
import { tempFolder, thrownBy } from '../support/temp-folder.ts';

function open(): { log: BuildLog; phases: string[]; content: () => string } {
  const path = join(tempFolder(), 'build.log');
  const phases: string[] = [];
  return { log: new BuildLog(path, (phase) => phases.push(phase)), phases, content: () => readFileSync(path, 'utf8') };
}
const out = (text: string | Buffer) => ({ stream: 'stdout' as const, data: Buffer.from(text as string) });
const err = (text: string) => ({ stream: 'stderr' as const, data: Buffer.from(text) });

describe('a build log', () => {
  test('keeps the lines of stdout and stderr whole, however they come', async () => {
    const { log, content } = open();
    for (const chunk of [out('on'), err('war'), out('e\ntw'), err('ning\n'), out('o\nthree')]) await log.write(chunk);
    await log.close();
    expect(content()).toBe('one\nwarning\ntwo\nthree\n');
  });

  test('gives the bytes of one stream back as they were, cut anywhere, also within a character', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 5 }), fc.integer({ min: 1, max: 7 }), async (lines, step) => {
        const { log, content } = open();
        const bytes = Buffer.from(lines.map((line) => `${line.replaceAll(PHASE_MARK, '')}.\n`).join(''));
        for (let at = 0; at < bytes.length; at += step) await log.write({ stream: 'stdout', data: bytes.subarray(at, at + step) });
        await log.close();
        expect(content()).toBe(bytes.toString());
      }),
      { numRuns: 30 },
    );
  });

  test('tells phases as they begin and marks them in the file', async () => {
    const { log, phases, content } = open();
    await log.write(out(`${PHASE_MARK}confi`));
    expect(phases).toEqual([]);
    await log.write(out(`gure\nworking\n${PHASE_MARK}link\n`));
    await log.say('a word of ours');
    await log.close();
    expect(phases).toEqual(['configure', 'link']);
    expect(content()).toBe('=== configure\nworking\n=== link\na word of ours\n');
  });

  test('keeps the last lines and the reason of a failure for the error', async () => {
    const { log } = open();
    await log.write(out('gcc -Wno-error=address a.c\na.c:1: error: no such thing\n'));
    await log.write(err('make: *** [all] Error 2\n'));
    expect(log.last(2)).toEqual(['a.c:1: error: no such thing', 'make: *** [all] Error 2']);
    expect(log.firstError()).toBe('a.c:1: error: no such thing');
    expect([log.has(/No space left/), log.has(/Error 2/)]).toEqual([false, true]);
    await log.close();
  });

  test.each([
    [['checking for x... not found', 'b.c:3:1: error: x', 'make: *** [b.o] Error 1'], 'b.c:3:1: error: x'],
    [['make[1]: [clean] Error 1 (ignored)', 'sh: foo: not found', 'make: *** [all] Error 127'], 'sh: foo: not found'],
    [['a', 'make: *** No rule to make target', 'z'], 'make: *** No rule to make target'],
    [['gcc -Wno-error=x', 'done'], undefined],
  ])('tells the real error of %j', async (lines, expected) => {
    const { log } = open();
    await log.write(out(`${lines.join('\n')}\n`));
    expect(log.firstError()).toBe(expected);
    await log.close();
  });

  test('of many lines keeps only the last of them in memory', async () => {
    const { log } = open();
    await log.write(out(Array.from({ length: 5000 }, (_, i) => `line ${i}\n`).join('')));
    expect(log.last(9999).length).toBeLessThan(1000);
    expect(log.last(1)).toEqual(['line 4999']);
    expect(log.firstError()).toBeUndefined();
    await log.close();
  });

  test('that is much faster than the disk leaves no listeners behind to be warned of', async () => {
    const warnings: Error[] = [];
    const take = (warning: Error) => warnings.push(warning);
    process.on('warning', take);
    try {
      const { log, content } = open();
      const line = `${'x'.repeat(99_999)}\n`;
      for (let i = 0; i < 40; i++) await log.write(out(line));
      await log.close();
      expect(content().length).toBe(4_000_000);
      // Warnings are told in a later turn.
      await new Promise((resolve) => setImmediate(resolve));
      expect(warnings).toEqual([]);
    } finally {
      process.off('warning', take);
    }
  });

  test('that cannot be written says so when it is closed, and does not hang', async () => {
    const log = new BuildLog(join(tempFolder(), 'none/build.log'), () => {});
    expect(await thrownBy(() => log.close())).toMatchObject({ code: 'ENOENT' });
    expect(await thrownBy(() => log.write(out('x\n')))).toMatchObject({ code: 'ENOENT' });
  });
});
