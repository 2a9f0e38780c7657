import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Metadata } from '../../src/build/metadata.ts';
import { ForgeError } from '../../src/errors.ts';
import type { Cell } from '../../src/plan/plan.ts';
import { eachBench, standInOnEngine } from '../support/stand-in-on-engine.ts';

const { engine, standIn } = await standInOnEngine();
const bench = eachBench(engine, standIn);

/** The cell with its recipe changed: more commands at the end, or whatever the change does. */
function changed(cell: Cell, change: (recipe: Cell['recipe']) => Partial<Cell['recipe']>): Cell {
  return { ...cell, recipe: { ...cell.recipe, ...change(cell.recipe) } };
}
const also = (cell: Cell, run: string) => changed(cell, ({ steps }) => ({ steps: [...steps, { phase: 'extra', run }] }));
const one = (): Cell => standIn.cells()[0] as Cell;
const place = (file = '') => join(bench.output, 'pv-grub/4.2.5/x86_64', file);
const codes = (failed: { error: unknown }[]) => failed.map(({ error }) => (error instanceof ForgeError ? error.code : error));

describe('a build that goes well', () => {
  test('leaves an image, its log, its debug file, metadata and checksums that the usual tools accept', async () => {
    const result = await bench.run([one()]);
    expect(codes(result.failed)).toEqual([]);
    expect(result.exit).toBe(0);
    execFileSync('sha256sum', ['-c', '--strict', 'SHA256SUMS'], { cwd: bench.output });
    execFileSync('gzip', ['-t', place('pv-grub-x86_64.gz')]);
    writeFileSync(place('unpacked'), execFileSync('gzip', ['-dc', place('pv-grub-x86_64.gz')], { maxBuffer: 2 ** 26 }));
    const sections = execFileSync('readelf', ['-SW', place('unpacked')], { encoding: 'utf8' });
    expect(sections).toContain('__xen_guest');
    expect(sections).not.toContain('.debug_');
    expect(execFileSync('readelf', ['-SW', place('pv-grub-x86_64.debug')], { encoding: 'utf8' })).toContain('.debug_info');
    const metadata = JSON.parse(readFileSync(place('metadata.json'), 'utf8')) as Metadata;
    expect(metadata).toMatchObject({ id: 'pv-grub-4.2.5-x86_64', unpinned: [], image: { file: 'pv-grub-x86_64.gz' } });
    expect(metadata.edits.map((edit) => edit.id)).toEqual(['mkheader-python3', 'tools-mk']);
    expect(metadata.buildImage.packages.some((name) => name.startsWith('gcc:amd64='))).toBe(true);
    expect(readFileSync(place('build.log'), 'utf8')).toMatch(/=== headers\n[\s\S]*=== newlib\n[\s\S]*=== link\n/);
    expect(statSync(place()).mode & 0o777).toBe(0o755);
  });

  test('is not done again while its inputs and its image are the same, and is when one changes', async () => {
    await bench.run([one()]);
    const again = await bench.run([one()]);
    expect([again.done.length, again.cached.length]).toEqual([0, 1]);
    const other = await bench.run([also(one(), 'true')]);
    expect([other.done.length, other.cached.length]).toEqual([1, 0]);
    appendFileSync(place('pv-grub-x86_64.gz'), 'x');
    const damaged = await bench.run([also(one(), 'true')]);
    expect([damaged.done.length, damaged.cached.length]).toEqual([1, 0]);
    const forced = await bench.run([also(one(), 'true')], { force: true });
    expect(forced.done.length).toBe(1);
  });

  test('gives the same bytes with another number of jobs, in both widths side by side', async () => {
    const both = standIn.cells(['x86_64', 'x86_32']);
    const first = await bench.run(both);
    expect(codes(first.failed)).toEqual([]);
    expect(bench.events.filter((event) => event.type === 'cell-started').map((event) => event.jobs)).toEqual([1, 1]);
    const second = await bench.run(both, { force: true, cells: 1 });
    expect(bench.events.filter((event) => event.type === 'cell-started').map((event) => event.jobs)).toEqual([1, 1, 2, 2]);
    const digests = (metadata: Metadata[]) => metadata.map(({ id, image }) => `${id} ${image.sha256}`).sort();
    expect(digests(second.done)).toEqual(digests(first.done));
  });
});

describe("a cell's container", () => {
  test('has no network, no capability, no writable root and a fixed name', async () => {
    const look = [
      'echo "user $(id -u) host $(hostname)"',
      'echo "interfaces $(ls /sys/class/net | tr "\\n" " ")"',
      'grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status',
      'if touch /usr/x 2>/dev/null; then echo "root is writable"; fi',
      `python3 -c 'import socket; socket.create_connection(("192.0.2.1", 80), 3)' 2>&1 | tail -n 1`,
      'python3 -c \'import socket; socket.getaddrinfo("extfiles.invalid", 80)\' 2>&1 | tail -n 1',
    ].join('\n');
    const result = await bench.run([also(one(), look)]);
    expect(codes(result.failed)).toEqual([]);
    const log = readFileSync(place('build.log'), 'utf8');
    expect(log).toContain('user 1000 host forge');
    expect(log).toContain('interfaces lo');
    expect(log).toMatch(/CapEff:\s+0{16}/);
    expect(log).toMatch(/CapBnd:\s+0{16}/);
    expect(log).toMatch(/NoNewPrivs:\s+1/);
    expect(log).not.toContain('root is writable');
    expect(log).toMatch(/Network is unreachable/);
    expect(log).toMatch(/Temporary failure in name resolution|Name or service not known/);
  });

  test('cannot download what was not prefetched: the build fails instead', async () => {
    const cell = changed(one(), ({ placements }) => ({ placements: placements.filter(({ source }) => source !== 'zlib') }));
    const result = await bench.run([cell], { debug: true });
    expect(codes(result.failed)).toEqual(['BUILD_FAILED']);
    expect(result.exit).toBe(1);
    expect(readFileSync(join(bench.output, 'failed', 'pv-grub-4.2.5-x86_64.log'), 'utf8')).toContain('zlib-1.2.3.tar.gz');
    expect(existsSync(place())).toBe(false);
  });
});

describe('a build that goes wrong', () => {
  test('does not stop another cell, and the exit code says that some failed', async () => {
    const [wide, narrow] = standIn.cells(['x86_64', 'x86_32']) as [Cell, Cell];
    const result = await bench.run([also(wide, 'echo "the reason: error: no luck" >&2; exit 3'), narrow]);
    expect(codes(result.failed)).toEqual(['BUILD_FAILED']);
    expect(result.failed[0]?.error).toMatchObject({ got: expect.stringContaining('no luck') });
    expect(result.done.map(({ id }) => id)).toEqual(['pv-grub-4.2.5-x86_32']);
    expect(result.exit).toBe(1);
    expect(readFileSync(join(bench.output, 'SHA256SUMS'), 'utf8')).toMatch(
      /^[0-9a-f]{64} {2}pv-grub\/4\.2\.5\/x86_32\/pv-grub-x86_32\.gz\n$/,
    );
  });

  test('keeps the older result of the cell', async () => {
    const first = await bench.run([one()]);
    const result = await bench.run([also(one(), 'exit 1')]);
    expect(result.exit).toBe(1);
    expect(JSON.parse(readFileSync(place('metadata.json'), 'utf8')).image.sha256).toBe(first.done[0]?.image.sha256);
  });

  test('because an edit does not fit names the file, the text and the counts', async () => {
    const cell = changed(one(), ({ edits }) => ({
      edits: edits.map((edit) => ({
        ...edit,
        ...(edit.substitutions ? { substitutions: edit.substitutions.map((entry) => ({ ...entry, count: 2 })) } : {}),
      })),
    }));
    const result = await bench.run([cell]);
    expect(codes(result.failed)).toEqual(['EDIT_MISMATCH']);
    expect(result.failed[0]?.error).toMatchObject({
      message: expect.stringContaining('tools/include/mkheader.py'),
      got: '1 ×',
      expected: expect.stringContaining('2 ×'),
    });
    expect(result.exit).toBe(3);
  });

  test('because an edit is for a source that is not unpacked is not begun', async () => {
    const cell = changed(one(), ({ edits }) => ({ edits: edits.map((edit) => ({ ...edit, source: 'grub' })) }));
    const result = await bench.run([cell]);
    expect(codes(result.failed)).toEqual(['EDIT_MISMATCH']);
  });

  test("because a package's tarball has another folder at its top says which one it wants", async () => {
    const cell = changed(one(), ({ sources }) => ({
      sources: sources.map((ref) => (ref.name === 'zlib' ? { ...ref, top: 'zlib-9' } : ref)),
    }));
    const result = await bench.run([cell]);
    expect(result.failed.map(({ error }) => error)).toEqual([
      expect.objectContaining({ code: 'SOURCE_ARCHIVE_BROKEN', expected: 'a folder zlib-9 at its top', got: 'zlib-1.2.3' }),
    ]);
  });

  test('runs past its time limit', async () => {
    const result = await bench.run([also(one(), 'sleep 600')], { limits: { time: '15s' } });
    expect(codes(result.failed)).toEqual(['BUILD_TIMEOUT']);
  });

  test('runs out of memory', async () => {
    const result = await bench.run([also(one(), 'python3 -c "x = bytearray(2 ** 31)"; exit 1')], { limits: { memory: '256m' } });
    expect(codes(result.failed)).toEqual(['BUILD_OUT_OF_MEMORY']);
  });

  test("fills the engine's disk", async () => {
    const result = await bench.run([also(one(), 'head -c 100 /dev/zero > /dev/full')]);
    expect(codes(result.failed)).toEqual(['BUILD_DISK_FULL']);
  });

  test('ends well but leaves no image', async () => {
    const result = await bench.run([also(one(), 'rm ../out/pv-grub-x86_64.gz')]);
    expect(codes(result.failed)).toEqual(['OUTPUT_MISSING']);
    expect(result.exit).toBe(5);
  });

  test('gives an image of the wrong width, or none of a loader', async () => {
    const narrow = standIn.cells(['x86_32'])[0] as Cell;
    const wrong = changed({ ...narrow, id: 'pv-grub-4.2.5-x86_64', arch: 'x86_64' }, (recipe) => recipe);
    const other = also(narrow, 'cp /bin/true ../out/pv-grub-x86_32 && gzip -n9f ../out/pv-grub-x86_32');
    const result = await bench.run([wrong, other]);
    expect(codes(result.failed)).toEqual(['INSPECT_FAILED', 'INSPECT_FAILED']);
    expect(result.failed.map(({ error }) => (error as Error).message).sort()).toEqual([
      expect.stringContaining('an ELF file without anything of Xen'),
      expect.stringContaining('made for x86_32, not for x86_64'),
    ]);
    expect(result.exit).toBe(5);
  });

  test('because its sources cannot be had says what was tried, and the others are built', async () => {
    const missing = changed({ ...one(), id: 'pv-grub-9.9-x86_64' }, ({ sources }) => ({
      sources: sources.map((ref) =>
        ref.name === 'zlib' ? { ...ref, version: '9.9', pins: { sha256: '0'.repeat(64) }, file: 'zlib-9.9.tar.gz' } : ref,
      ),
    }));
    const result = await bench.run([missing, one()]);
    expect(codes(result.failed)).toEqual(['SOURCE_UNAVAILABLE']);
    expect(result.failed[0]?.error).toMatchObject({
      message: expect.stringContaining(standIn.folder),
      hint: expect.stringContaining('--origin zlib='),
    });
    expect(result.done.length).toBe(1);
    expect(result.exit).toBe(3);
  });

  test('because a tarball has changed on disk takes it out of the store, and the next run mends it', async () => {
    await bench.run([one()]);
    const { sha256 } = JSON.parse(readFileSync(place('metadata.json'), 'utf8')).sources.find(
      ({ name }: { name: string }) => name === 'zlib',
    ) as { sha256: string };
    appendFileSync(join(bench.store, 'sha256', sha256.slice(0, 2), sha256), 'x');
    const result = await bench.run([one()], { force: true });
    expect(codes(result.failed)).toEqual(['STORE_CORRUPT']);
    expect((await bench.run([one()], { force: true })).exit).toBe(0);
  });

  test('because the output folder has become a file says so and leaves the file alone', async () => {
    await bench.run([one()]);
    rmSync(place(), { recursive: true });
    writeFileSync(place(), 'in the way');
    const result = await bench.run([one()]);
    expect(result.exit).not.toBe(0);
    expect(readFileSync(place(), 'utf8')).toBe('in the way');
    rmSync(place());
  });
});
