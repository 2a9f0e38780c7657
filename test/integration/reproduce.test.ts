import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Metadata } from '../../src/build/metadata.ts';
import { ForgeError } from '../../src/errors.ts';
import { parseElf } from '../../src/inspect/elf.ts';
import { elfSymbols } from '../../src/inspect/symbols.ts';
import type { Cell } from '../../src/plan/plan.ts';
import { VARIATIONS } from '../../src/reproduce/variations.ts';
import { eachBench, standInOnEngine } from '../support/stand-in-on-engine.ts';
import { tempFolder } from '../support/temp-folder.ts';

const { engine, standIn } = await standInOnEngine();
const bench = eachBench(engine, standIn);

const one = (): Cell => standIn.cells()[0] as Cell;
const place = (file: string) => join(bench.output, 'pv-grub/4.2.5/x86_64', file);
const failed = (file: string) => join(bench.output, 'failed', `pv-grub-4.2.5-x86_64.${file}`);
const metadata = () => JSON.parse(readFileSync(place('metadata.json'), 'utf8')) as Metadata;
const codes = (failures: { error: unknown }[]) => failures.map(({ error }) => (error instanceof ForgeError ? error.code : error));
const got = (failures: { error: unknown }[]) => (failures[0]?.error as ForgeError | undefined)?.got ?? '';
const noises = () => bench.events.flatMap((event) => (event.type === 'warning' ? [event.text] : []));

/** The cell with a command before the last step, which packs the image: what it prints goes into the image. */
function leaking(command: string): Cell {
  const cell = one();
  const { steps, edits } = cell.recipe;
  const many = {
    id: 'many',
    what: '',
    why: '',
    source: 'xen',
    create: [...'abcdefghijklmn'].map((name) => ({ file: `many/${name}`, content: '' })),
  };
  const leak = `(${command}) > leak.txt && objcopy --add-section .leak=leak.txt stubdom/mini-os-x86_64-grub/mini-os`;
  const leaked = [...steps.slice(0, -1), { phase: 'leak', run: leak }, ...steps.slice(-1)];
  return { ...cell, recipe: { ...cell.recipe, edits: [...edits, many], steps: leaked } };
}

test('an image that comes about again under all variations at once is told and recorded', async () => {
  expect(codes((await bench.run([one()])).failed)).toEqual([]);
  const before = metadata();
  const result = await bench.reproduce([one()]);
  expect(codes(result.failed)).toEqual([]);
  expect(result.exit).toBe(0);
  const { reproduced, ...rest } = metadata();
  expect(rest).toEqual(before);
  expect(reproduced).toMatchObject({ ok: true, engine: expect.stringMatching(/^(docker|podman) /) });
  expect(reproduced?.variations).toEqual(VARIATIONS.map(({ name }) => name).filter((name) => name !== 'engine'));
  expect(noises()).toEqual(['not varied: engine: no other engine is given (--other-engine)']);
  expect(existsSync(join(bench.output, 'failed'))).toBe(false);
  expect(reproduced).not.toHaveProperty('debug');

  // Its debug file, too, where it is built at the same place.
  expect((await bench.reproduce([one()], '!path')).exit).toBe(0);
  // The wider proof stays on record, and what the narrower one alone could tell comes to it.
  expect(metadata().reproduced).toEqual({ ...reproduced, debug: true });

  // The symbols of its debug file, as readelf tells them.
  const debug = readFileSync(place('pv-grub-x86_64.debug'));
  const own = elfSymbols(debug, parseElf(debug)).map(({ name, value, size, section }) => `${value} ${size} ${section} ${name}`);
  const rows = execFileSync('readelf', ['-sW', place('pv-grub-x86_64.debug')], { encoding: 'utf8' }).matchAll(
    /^ *\d+: ([0-9a-f]+) +(0x[0-9a-f]+|\d+) +(?!SECTION|FILE)\w+ +\w+ +\w+ +(\d+) (\S+)$/gm,
  );
  const theirs = [...rows].map(
    ([, value, size, section, name]) => `${Number.parseInt(value ?? '', 16)} ${Number(size)} ${section} ${name}`,
  );
  expect(own.length).toBeGreaterThan(3);
  expect(own.toSorted()).toEqual(theirs.toSorted());
}, 180_000);

describe('an image that depends on what it must not', () => {
  test.each([
    ['host', 'hostname'],
    ['clock', 'date +%Y-%m'],
    ['zone', 'date +%Z'],
    ['locale', 'date +%A'],
    ['umask', 'touch new; stat -c %a new'],
    ['jobs', 'echo "$JOBS"'],
    ['order', 'ls -U many | head -n 1'],
    ['user', 'id -u'],
    ['path', 'pwd'],
  ])(
    'the variation "%s" is found to be to blame',
    async (name, command) => {
      const cell = leaking(command);
      expect(codes((await bench.run([cell])).failed)).toEqual([]);
      const result = await bench.reproduce([cell], name);
      expect(codes(result.failed)).toEqual(['NOT_REPRODUCIBLE']);
      expect(metadata().reproduced).toMatchObject({
        ok: false,
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        unvaried: 'same',
        blame: [name],
        variations: [name],
      });
    },
    120_000,
  );

  test('one of several is found, what differs is explained, both images are kept, and the exit code is 7', async () => {
    const cell = leaking('echo "linked on $(hostname)"');
    await bench.run([cell]);
    const first = readFileSync(place('pv-grub-x86_64.gz'));
    const result = await bench.reproduce([cell], 'host,path,jobs');
    expect(result.exit).toBe(7);
    const [failure] = result.failed;
    expect(failure?.error).toMatchObject({ code: 'NOT_REPRODUCIBLE', expected: metadata().image.sha256 });
    expect(got(result.failed)).toContain('.leak: text: "linked on forge" and "linked on another-machine.example"');
    expect(got(result.failed)).toContain('to blame: host');
    expect(metadata().reproduced).toMatchObject({ ok: false, blame: ['host'], sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(readFileSync(place('pv-grub-x86_64.gz'))).toEqual(first);
    expect(readFileSync(failed('first-pv-grub-x86_64.gz'))).toEqual(first);
    expect(readFileSync(failed('again-pv-grub-x86_64.gz'))).not.toEqual(first);
    expect(readFileSync(failed('difference.txt'), 'utf8')).toContain('to blame: host');
    expect(readFileSync(failed('again.log'), 'utf8')).toContain('=== link\n');
  }, 180_000);

  test('diffoscope is run on both where it is installed', async () => {
    const cell = leaking('hostname');
    await bench.run([cell]);
    const bin = tempFolder();
    writeFileSync(join(bin, 'diffoscope'), '#!/bin/sh\nshift 6\ncmp "$@"\n');
    chmodSync(join(bin, 'diffoscope'), 0o755);
    const path = process.env['PATH'];
    process.env['PATH'] = `${bin}:${path}`;
    try {
      await bench.reproduce([cell], 'host');
    } finally {
      process.env['PATH'] = path;
    }
    expect(readFileSync(failed('diffoscope.txt'), 'utf8')).toMatch(/first-pv-grub-x86_64.gz .*again-pv-grub-x86_64.gz differ/);
  }, 120_000);

  test('where it is another one each time, no variation is to blame', async () => {
    const cell = leaking('cat /proc/sys/kernel/random/uuid');
    await bench.run([cell]);
    const result = await bench.reproduce([cell], 'host,path');
    expect(got(result.failed)).toContain('no variation; it is another one with nothing varied, too');
    expect(metadata().reproduced).toMatchObject({ ok: false, unvaried: 'differs', blame: [] });
  }, 180_000);

  test('a build that a variation breaks counts as one that differs', async () => {
    const cell = leaking('test "$(hostname)" = forge || { echo "error: not here" >&2; exit 3; }');
    await bench.run([cell]);
    const result = await bench.reproduce([cell], 'host,umask');
    expect(codes(result.failed)).toEqual(['NOT_REPRODUCIBLE']);
    expect(got(result.failed)).toMatch(/^no image\n[\s\S]*not here[\s\S]*to blame: host$/);
    expect(metadata().reproduced).toMatchObject({ ok: false, blame: ['host'], findings: [{ where: 'build' }] });
    expect(metadata().reproduced?.sha256).toBeUndefined();
  }, 180_000);
});

test('what only several variations bring about together is told so', async () => {
  const both = leaking('if [ "$(hostname)" != forge ] && [ "$JOBS" != 1 ]; then echo both; fi');
  expect((await bench.run([both], { cells: 2 })).exit).toBe(0);
  const cores = metadata().build.cores;
  const cell = leaking(`if [ "$(hostname)" != forge ] && [ "$JOBS" != ${cores} ]; then echo both; fi`);
  await bench.run([cell]);
  const result = await bench.reproduce([cell], 'host,jobs');
  expect(got(result.failed)).toContain('no variation alone, only several together');
}, 180_000);

test('a difference that was seen is recorded and kept, also where finding the blame is stopped', async () => {
  const cell = leaking('hostname');
  await bench.run([cell]);
  await bench.reproduce([cell], 'umask');
  const stop = new AbortController();
  const running = bench.reproduce([cell], 'host,path', {
    signal: stop.signal,
    emit: (event) => {
      if (event.type === 'cell-phase' && event.phase === 'blame: host') stop.abort();
    },
  });
  expect((await running).exit).toBe(130);
  expect(metadata().reproduced).toMatchObject({
    ok: false,
    variations: ['host', 'path'],
    findings: [{ where: '.leak' }, { where: '.leak' }],
  });
  expect(metadata().reproduced).not.toHaveProperty('blame');
  expect(readFileSync(failed('difference.txt'), 'utf8')).toContain('to blame: not found out');
}, 180_000);

test('a difference stays one where finding the blame runs into trouble of its own, and no narrower proof undoes it', async () => {
  const cell = leaking('if [ "$(hostname)" != forge ]; then echo differs; elif [ "$JOBS" -gt 2 ]; then sleep 60; fi');
  await bench.run([cell]);
  const result = await bench.reproduce([cell], 'host,jobs', { settings: bench.settings({ limits: { time: '15s' } }) });
  expect([codes(result.failed), result.exit]).toEqual([['NOT_REPRODUCIBLE'], 7]);
  expect(noises()).toContainEqual(expect.stringContaining('what is to blame could not be found out'));
  expect(metadata().reproduced).toMatchObject({ ok: false, variations: ['host', 'jobs'] });
  await bench.reproduce([cell], 'umask');
  expect(metadata().reproduced).toMatchObject({ ok: false, variations: ['host', 'jobs'] });
}, 180_000);

describe('another engine', () => {
  test('builds it again, and is the one on record', async () => {
    await bench.run([one()]);
    // The same daemon does for all but being another one; the command line refuses it.
    const result = await bench.reproduce([one()], 'engine,host', { other: engine });
    expect(codes(result.failed)).toEqual([]);
    expect(metadata().reproduced).toMatchObject({ ok: true, variations: ['host', 'engine'], engine: `${engine.name} ${engine.version}` });
  }, 120_000);

  test('that is not there makes no proof of nothing', async () => {
    await bench.run([one()]);
    const result = await bench.reproduce([one()], 'engine');
    expect(codes(result.failed)).toEqual(['OPTION_INVALID']);
    expect(metadata().reproduced).toBeUndefined();
  }, 60_000);
});

describe('what cannot be compared', () => {
  test('an image that is not built from the present inputs is told, and no other cell is held up', async () => {
    const [wide, narrow] = standIn.cells(['x86_64', 'x86_32']) as [Cell, Cell];
    await bench.run([narrow]);
    const result = await bench.reproduce([wide, narrow], 'host');
    expect(codes(result.failed)).toEqual(['OUTPUT_MISSING']);
    expect(result.same.map(({ id }) => id)).toEqual([narrow.id]);
  }, 120_000);

  test('a build that runs out of time is no answer: nothing is recorded', async () => {
    await bench.run([one()]);
    const settings = bench.settings({ limits: { time: '1s' } });
    const result = await bench.reproduce([one()], 'host', { settings });
    expect(codes(result.failed)).toEqual(['BUILD_TIMEOUT']);
    expect(metadata().reproduced).toBeUndefined();
  }, 120_000);

  test('a signal ends it, and leaves nothing', async () => {
    await bench.run([one()]);
    const stop = new AbortController();
    const result = await bench.reproduce([one()], 'host', {
      signal: stop.signal,
      emit: (event) => {
        if (event.type === 'cell-phase' && event.phase === 'newlib') stop.abort();
      },
    });
    expect(result.exit).toBe(130);
    expect(metadata().reproduced).toBeUndefined();
  }, 120_000);
});
