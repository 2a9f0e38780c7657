import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BootReport } from '../../src/boot/types.ts';
import type { Metadata } from '../../src/build/metadata.ts';
import { readFileFrom } from '../../src/engine/archive.ts';
import { createContainer, removeContainer } from '../../src/engine/container.ts';
import type { Event } from '../../src/report/events.ts';
import { debianMirrors } from '../../src/sources/origins/debian-mirrors.ts';
import { type Called, pvgrub } from '../support/cli.ts';
import { MKE2FS, makeDisk } from '../support/guest-disk.ts';
import { tinyGuest } from '../support/images.ts';
import { makeProduct } from '../support/product.ts';
import { leftovers, testEngine } from '../support/run-stand-in.ts';

// Real images, built from Debian's mirror and booted in a real Xen, as a user calls it. One run builds; the tests look
// at what came of it, and boot it again with what is broken beside it.
const folder = mkdtempSync(join(tmpdir(), 'pvgrub-boot-'));
const out = join(folder, 'out');
const placed = (arch: string, file: string) => join(out, 'pvgrub2/2.14', arch, file);
const IMAGES = { x86_64: 'grub-x86_64-xen.bin', x86_32: 'grub-i386-xen.bin', x86_32_pvh: 'grub-i386-xen_pvh.bin' } as const;
const call = (...args: string[]) =>
  pvgrub([...args, '--engine', process.env['PVGRUB_TEST_ENGINE'] ?? 'none', '--no-setup'], { cwd: folder });
const reports = (called: Called) => JSON.parse(called.stdout) as BootReport[];

/** Write a file to boot. */
function file(name: string, content: Uint8Array): string {
  writeFileSync(join(folder, name), content);
  return name;
}

const mirrors = await debianMirrors(undefined);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(mirrors.length === 0)('images in a real Xen', () => {
  let built: Called;
  beforeAll(async () => {
    built = await call('build', 'pvgrub2-2.14-*', '--boot', '--out', out, '--progress', 'json');
  });

  test('build --boot boots all arches in every case before it places them, and writes down how it went', () => {
    expect(built).toMatchObject({ code: 0, stderr: '' });
    const events = built.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Event);
    const booted = events.flatMap((event) => (event.type === 'boot-case' ? [event] : []));
    expect(booted.map(({ case: name }) => name).sort()).toEqual(
      ['disk', 'partition', 'legacy', 'pvboot', 'btrfs'].flatMap((name) => (name === 'pvboot' ? [name, name] : [name, name, name])).sort(),
    );
    for (const [arch, image] of Object.entries(IMAGES)) {
      const metadata = JSON.parse(readFileSync(placed(arch, 'metadata.json'), 'utf8')) as Metadata;
      expect(metadata.boot).toMatchObject({
        ok: true,
        hypervisor: expect.stringMatching(/^Xen 4\.17/),
        accelerator: expect.stringMatching(/tcg|kvm/),
      });
      for (const one of metadata.boot?.cases ?? []) {
        expect(one).toMatchObject({ ok: true, menuSeconds: expect.any(Number), guestSeconds: expect.any(Number) });
      }
      expect(readFileSync(placed(arch, 'boot.log'), 'utf8')).toMatch(
        /GNU GRUB[\s\S]*pvgrub-guest: how=\[(xen-3\.0-x86_(64|32p)|linux-boot-protocol-pvh)\]/,
      );
      expect(existsSync(placed(arch, image))).toBe(true);
    }
    execFileSync('sha256sum', ['-c', '--strict', 'SHA256SUMS'], { cwd: out });
  });

  test('what has booted is not booted again by the next run', async () => {
    const again = await call('build', 'pvgrub2-2.14-x86_64', '--boot', '--out', out, '--progress', 'plain');
    expect(again).toMatchObject({ code: 0, stderr: expect.stringMatching(/pvgrub2-2\.14-x86_64: there already/) });
    expect(again.stderr).not.toMatch(/: boot /);
  });

  test('broken images are told as what they are, each within its limit, and the good one after them boots', async () => {
    const good = file('good-x86_64.bin', readFileSync(placed('x86_64', IMAGES.x86_64)));
    // A halt that is undone by nothing, an undefined instruction, a loader that is cut off, one under the other's name.
    const silent = file('silent', tinyGuest([0xeb, 0xfe]));
    const crash = file('crash', tinyGuest([0x0f, 0x0b], 32));
    const cut = file('cut-off.bin', readFileSync(join(folder, good)).subarray(0, 1_000_000));
    copyFileSync(placed('x86_32', IMAGES.x86_32), join(folder, 'pv-grub-x86_64'));
    const called = await call(
      'boot',
      silent,
      crash,
      good,
      cut,
      'pv-grub-x86_64',
      '--cases',
      'disk',
      '--jobs',
      '1',
      '--json',
      '--progress',
      'quiet',
    );
    expect(called.code).toBe(5);
    expect(called.stderr).toMatch(/cut-off\.bin[^\n]*\[\w+\]/);
    expect(called.stderr).toMatch(/pv-grub-x86_64 cannot be booted: it is made for x86_32, but its name says x86_64/);
    const told = Object.fromEntries(reports(called).map(({ id, cases }) => [id, cases[0]]));
    expect(told[silent]).toMatchObject({ ok: false, said: 'it printed nothing; no more came within 60 s' });
    expect(told[crash]).toMatchObject({ ok: false, said: expect.stringMatching(/^it crashed before its menu: \(XEN\) .*(#UD|opcode)/) });
    expect(told[crash]?.diagnosis.join('\n')).toMatch(/EIP|RIP/);
    expect(told[good]).toMatchObject({ ok: true, said: 'the guest kernel started' });
  });

  describe.skipIf(!MKE2FS)("a guest's own disk", () => {
    const CFG = 'set timeout=9\nmenuentry Linux {\n  linux /boot/vmlinuz-1 root=/dev/xvda console=hvc0\n  initrd /boot/initrd.img-1\n}\n';
    let linux: Buffer;
    let initrd: Buffer;
    beforeAll(async () => {
      const engine = await testEngine();
      const [image] = await engine.docker.listImages({ filters: { reference: ['pvgrub-forge-boot'] } });
      const labels = { 'org.pvgrub-forge.test': '1' };
      const container = await createContainer(engine, {
        image: image?.Id ?? '',
        command: ['true'],
        env: {},
        labels,
        limits: { memory: 2 ** 28, pids: 9 },
      });
      [linux, initrd] = (await Promise.all(
        ['/kit/bzImage', '/kit/linux-initrd'].map(async (path) => (await readFileFrom(container, path))?.content),
      )) as [Buffer, Buffer];
      await removeContainer(container);
    });
    const disk = (menu: string) =>
      makeDisk({ 'boot/grub/grub.cfg': menu, 'boot/vmlinuz-1': linux, 'boot/initrd.img-1': initrd }, '-t ext4', {
        size: 64,
        partition: true,
      });
    const trying = (path: string, ...more: string[]) =>
      call('guest', 'try', path, '--image', placed('x86_64', IMAGES.x86_64), '--memory', '288', ...more);

    test('boots as far as its kernel, its console is shown, and not a byte of it changes', async () => {
      const path = disk(CFG);
      const before = readFileSync(path);
      const tried = await trying(path);
      expect(tried).toMatchObject({
        code: 0,
        stderr: expect.stringMatching(/as xvda[\s\S]*its kernel started \(menu after [\d.]+ s, kernel after/),
      });
      expect(tried.stdout).toMatch(/GNU GRUB[\s\S]*\[ +0\.0+\] Linux version 6/);
      expect(readFileSync(path).equals(before)).toBe(true);
    });

    test('that only root may read is sent; what does not boot is told, and checked before', async () => {
      const path = disk(CFG.replaceAll('-1', '-2'));
      chmodSync(path, 0o600);
      const tried = await trying(path, '--json', '--until', 'kernel', '--limit', '60');
      expect(tried).toMatchObject({
        code: 5,
        stderr: expect.stringContaining('expect trouble: (hd0,0)/boot/grub/grub.cfg:3: there is no kernel (hd0,0)/boot/vmlinuz-2'),
      });
      expect(JSON.parse(tried.stdout)).toMatchObject({
        ok: false,
        menu: expect.any(Number),
        kernel: null,
        said: expect.stringContaining('the menu came, but no kernel'),
      });
    });
  });

  test('a placed image that is not the one of its metadata is refused, and nothing is written', async () => {
    const [metadata, image] = [placed('x86_64', 'metadata.json'), placed('x86_64', IMAGES.x86_64)];
    const before = readFileSync(metadata, 'utf8');
    writeFileSync(image, tinyGuest([0x0f, 0x0b]));
    const called = await call('boot', 'pvgrub2-2.14-x86_64', '--out', out, '--progress', 'plain');
    expect(called).toMatchObject({ code: 5, stderr: expect.stringContaining('[OUTPUT_DAMAGED]') });
    expect(readFileSync(metadata, 'utf8')).toBe(before);
  });

  test('build --boot places no image that does not boot, and says what happened', async () => {
    const product = makeProduct();
    try {
      const called = await product.call([
        ...['build', 'pv-grub-4.2.5-x86_64', '--boot', '--progress', 'plain', '--no-setup'],
        ...['--engine', process.env['PVGRUB_TEST_ENGINE'] ?? 'none', ...product.origins()],
      ]);
      expect(called).toMatchObject({
        code: 5,
        stderr: expect.stringMatching(/failed \[BOOT_FAILED\][\s\S]*5 of 5 cases failed[\s\S]*it printed nothing/),
      });
      expect(existsSync(join(product.folder, 'artifacts/pv-grub/4.2.5'))).toBe(false);
    } finally {
      product.remove();
    }
    expect(await leftovers(await testEngine())).toEqual({ containers: 0, volumes: 0 });
  });
});
