import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseDomain, rewriteDomain } from '../../src/guest/domain/read.ts';
import { parseDisk } from '../../src/guest/domain/virtual-disk.ts';
import { debianMirrors } from '../../src/sources/origins/debian-mirrors.ts';
import { pvgrub } from '../support/cli.ts';
import { bzImageOf, elfKernel } from '../support/kernels.ts';

// Guests as Debian makes them, and configurations as Xen's and libvirt's own packages have them.
const folder = mkdtempSync(join(tmpdir(), 'pvgrub-guest-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const mirrors = await debianMirrors(undefined);
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: folder, stdio: 'pipe', env: { ...process.env, LC_ALL: 'C' } }).toString();
const PV = { kernel: '/usr/lib/xen/boot/pv-grub-x86_64.gz', menu: '(hd0)/boot/grub/menu.lst', type: 'pv' } as const;

describe.skipIf(mirrors.length === 0)('configurations of real packages', () => {
  beforeAll(() => {
    run('apt-get', '-qq', 'download', 'xen-utils-common', 'xen-doc', 'libvirt-doc');
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb'))) run('dpkg-deb', '-x', file, 'packages');
  });
  const read = (path: string) => readFileSync(join(folder, 'packages', path), 'utf8');
  const plain = (html: string) =>
    html
      .replace(/<[^>]+>/g, '')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'")
      .replaceAll('&amp;', '&');
  const examples = (path: string) => [...read(path).matchAll(/<pre[^>]*>([\s\S]*?)<\/pre>/g)].map(([, text = '']) => plain(text));

  test.each([
    ['xlexample.pvlinux', 'pv'],
    ['xlexample.pvhlinux', 'pvh'],
    ['xlexample.hvm', 'hvm'],
  ])("Xen's %s is a %s guest; all but what boots it stays as it is", (name, type) => {
    const text = read(`etc/xen/${name}`);
    expect(parseDomain(text, name)).toMatchObject({
      type,
      disks: [{ target: expect.stringContaining('guest-volume'), vdev: 'xvda' }],
    });
    const after = rewriteDomain({ path: name, text }, PV);
    expect(parseDomain(after, name)).toMatchObject({ kernel: PV.kernel, commandLine: PV.menu, type: 'pv' });
    const comments = (of: string) => of.split('\n').filter((line) => line.startsWith('#'));
    expect(comments(after)).toEqual(comments(text));
  });

  test("disks of xl's manual page", () => {
    const all = examples('usr/share/doc/xen/html/man/xl-disk-configuration.5.html');
    const specs = all
      .flatMap((text) => text.split('\n'))
      .flatMap((line) => /^((?:format=|raw:)?\S.*(?:hda|hdc)\b[^(]*)/.exec(line)?.[1]?.trim() ?? []);
    const disks = specs.filter((spec) => !spec.startsWith('disk')).map((spec) => parseDisk(spec));
    expect(disks.length).toBeGreaterThan(7);
    for (const disk of disks)
      expect(disk).toMatchObject({
        target: expect.stringMatching(/^\/(dev\/vg\/guest-volume|root\/image\.iso)$/),
        format: 'raw',
        vdev: expect.stringMatching(/^hd[ac]$/),
      });
  });

  test("libvirt's own examples of its Xen driver", () => {
    const domains = examples('usr/share/doc/libvirt-doc/html/drvxen.html')
      .map((text) => /<domain[\s\S]*<\/domain>/.exec(text)?.[0] ?? '')
      .filter((text) => text.includes('<os>'));
    expect(domains.length).toBeGreaterThan(3);
    const types = domains.map((text) => parseDomain(text, 'x').type);
    expect(types).toEqual(expect.arrayContaining(['pv', 'hvm']));
    for (const text of domains.filter((_, i) => types[i] === 'pv')) {
      const after = rewriteDomain({ path: 'x', text }, PV);
      expect(parseDomain(after, 'x')).toMatchObject({ kernel: PV.kernel, commandLine: PV.menu, ramdisk: undefined, bootloader: undefined });
    }
  });
});

/** Mounting a disk image, and a root to change into, need root. */
const mounts = (() => {
  try {
    return process.getuid?.() === 0 && run('losetup', '-f') !== '';
  } catch {
    return false;
  }
})();

describe.skipIf(mirrors.length === 0 || !mounts)("a Debian guest with grub-legacy's own update-grub", () => {
  const disk = join(folder, 'guest.img');
  const root = join(folder, 'mnt');
  const menu = join(root, 'boot/grub/menu.lst');
  const bound = ['dev', 'proc', 'sys'];
  const updateGrub = () => execFileSync('chroot', [root, 'update-grub'], { stdio: 'pipe' });
  beforeAll(() => {
    run('mmdebstrap', '--quiet', '--variant=minbase', '--include=grub-legacy', 'bookworm', 'tree.tar');
    run('truncate', '-s', '600M', disk);
    run('mke2fs', '-q', '-t', 'ext4', disk);
    mkdirSync(root);
    run('mount', '-o', 'loop', disk, root);
    run('tar', '-xf', 'tree.tar', '-C', root);
    for (const name of bound) run('mount', '--bind', `/${name}`, join(root, name));
    mkdirSync(join(root, 'boot/grub'));
    writeFileSync(join(root, 'boot/vmlinuz-6.1.0-9-amd64'), bzImageOf(elfKernel(), 'gzip'));
    writeFileSync(join(root, 'boot/initrd.img-6.1.0-9-amd64'), 'initrd');
    writeFileSync(
      join(folder, 'guest.cfg'),
      `name = "guest"\nkernel = "/k"\nroot = "/dev/xvda1 ro"\nextra = "console=hvc0"\ndisk = [ 'file:${disk},xvda1,w' ]\n`,
    );
    updateGrub();
  });
  afterAll(() => {
    for (const name of bound) if (existsSync(join(root, name))) run('umount', '-l', join(root, name));
    run('umount', '-l', root);
  });

  test('its first menu does not boot; repaired it does, and update-grub keeps it right with the next kernel', async () => {
    // As every guest of the article: a root that only Linux knows.
    expect(readFileSync(menu, 'utf8')).toMatch(/^root\t\t\((hostdisk\/)?\/?\/dev\/loop/m);
    expect(await pvgrub(['guest', 'check', root])).toMatchObject({ code: 5, stdout: expect.stringContaining('that is a name of Linux') });
    const call = () => pvgrub(['guest', 'menu', root, '--domain', join(folder, 'guest.cfg'), '--write']);
    expect(await call()).toMatchObject({ code: 0 });
    const entry = (version: string) =>
      `title\t\tDebian GNU/Linux, kernel ${version}\nroot\t\t(hd0)\nkernel\t\t/boot/vmlinuz-${version} root=/dev/xvda1 ro console=hvc0`;
    expect(readFileSync(menu, 'utf8')).toContain(entry('6.1.0-9-amd64'));
    updateGrub();
    // Nothing is left to do after it.
    expect((await call()).stdout).toMatch(/menu\.lst: right as it is\n.*device\.map: right as it is/);
    writeFileSync(join(root, 'boot/vmlinuz-6.1.0-10-amd64'), bzImageOf(elfKernel(), 'xz'));
    updateGrub();
    const text = readFileSync(menu, 'utf8');
    expect(text.indexOf(entry('6.1.0-10-amd64'))).toBeGreaterThan(0);
    expect(text.indexOf(entry('6.1.0-9-amd64'))).toBeGreaterThan(text.indexOf(entry('6.1.0-10-amd64')));
    const checked = await pvgrub(['guest', 'check', root]);
    expect(checked.stdout).toContain('yes  pv-grub 4.3.0 to 4.22.0, x86_64: by (hd0)/boot/grub/menu.lst');
  });
});
