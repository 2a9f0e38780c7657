import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newKey, publicKeyLine } from '../../src/publish/key.ts';
import { pvgrub } from '../support/cli.ts';
import { MKE2FS, makeDisk, writeTree } from '../support/guest-disk.ts';
import { notesImage, packed } from '../support/images.ts';
import { bzImageOf, elfKernel } from '../support/kernels.ts';
import { makeArtifacts, publishTo } from '../support/published.ts';
import { tempFolder } from '../support/temp-folder.ts';

const MENU = 'default 0\ntimeout 5\ntitle Linux\nroot (/dev/xvda1)\nkernel /boot/vmlinuz-6.1.0-9-amd64 root=/dev/xvda1 ro\n';
const FILES = {
  'boot/grub/menu.lst': MENU,
  'boot/vmlinuz-6.1.0-9-amd64': bzImageOf(elfKernel(), 'gzip'),
  'boot/initrd.img-6.1.0-9-amd64': 'initrd',
  'etc/os-release': 'NAME="Debian GNU/Linux"\n',
};
const CONFIG = (disk: string) => `# a guest
name = "guest"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/initrd"
root = "/dev/xvda1 ro"
extra = "console=hvc0 quiet"
disk = [ 'file:${disk},xvda1,w' ]
`;

/** A guest's root in a folder, and a configuration beside it. */
function mounted(disk = '/nowhere/disk.img') {
  const folder = tempFolder();
  const root = join(folder, 'root');
  mkdirSync(root);
  writeTree(root, FILES);
  const config = join(folder, 'guest.cfg');
  writeFileSync(config, CONFIG(disk));
  return { folder, root, config, menu: join(root, 'boot/grub/menu.lst'), map: join(root, 'boot/grub/device.map') };
}

describe.skipIf(!MKE2FS)('guest check', () => {
  test('tells what stands in the way and what to do; what is right has exit code 0', async () => {
    const disk = makeDisk(FILES, '-t ext3');
    const wrong = await pvgrub(['guest', 'check', disk]);
    expect(wrong).toMatchObject({ code: 5, stderr: '' });
    expect(wrong.stdout).toContain('(hd0)/boot/grub/menu.lst:4: root (/dev/xvda1): that is a name of Linux');
    expect(wrong.stdout).toContain('no loader is seen to boot it as it is');
    const right = makeDisk({ ...FILES, 'boot/grub/menu.lst': MENU.replace('(/dev/xvda1)', '(hd0)') }, '-t ext3');
    const before = statSync(right).mtimeMs;
    const told = await pvgrub(['guest', 'check', right, '--json']);
    expect(told.code).toBe(0);
    expect(JSON.parse(told.stdout)).toMatchObject({
      suits: { loader: 'pv-grub-4.22.0-x86_64', menu: '(hd0)/boot/grub/menu.lst' },
      findings: [{ level: 'warning', what: expect.stringContaining('console=hvc0') }],
    });
    expect(statSync(right).mtimeMs).toBe(before);
  });

  test('for a file, a cell, and the images of a publication', async () => {
    const disk = makeDisk({ ...FILES, 'boot/grub/menu.lst': MENU.replace('(/dev/xvda1)', '(hd0)') }, '-t ext3');
    const file = join(tempFolder(), 'pv-grub-x86_64.gz');
    writeFileSync(file, packed(notesImage()));
    expect(await pvgrub(['guest', 'check', disk, '--image', file])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('yes  pv-grub-x86_64.gz'),
    });
    expect(await pvgrub(['guest', 'check', disk, '--image', 'pv-grub-4.17.5-x86_32'])).toMatchObject({
      code: 5,
      stdout: expect.stringContaining('a 64-bit kernel'),
    });
    const key = newKey();
    const artifacts = tempFolder();
    await makeArtifacts(artifacts, 'pv-grub-4.17.5-x86_64', key);
    const target = join(tempFolder(), 'www');
    await publishTo(target, artifacts, key);
    const published = await pvgrub(['guest', 'check', disk, '--from', target, '--key', publicKeyLine(key.public)]);
    expect(published).toMatchObject({ code: 0, stdout: expect.stringMatching(/yes {2}pv-grub/) });
  });

  test('what the guest wrote does not reach the terminal as it is; a pipe, a large file, a folder by a link have an answer', async () => {
    const disk = makeDisk(
      { ...FILES, 'boot/grub/menu.lst': 'title \x1b]0;x\x07y\nroot (hd0)\nkernel /boot/vmlinuz-6.1.0-9-amd64\n' },
      '-t ext3',
    );
    const { stdout } = await pvgrub(['guest', 'check', disk, '--image', 'pv-grub-4.17.5-x86_64']);
    for (const one of ['\x1b', '\x07']) expect(stdout).not.toContain(one);
    const { root, folder } = mounted();
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    expect(await pvgrub(['guest', 'check', join(folder, 'pipe')])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is no disk'),
    });
    expect(await pvgrub(['guest', 'domain', disk])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no configuration of a domain'),
    });
    symlinkSync(root, join(folder, 'link'));
    // As Debian has it: links to the kernel in the root.
    symlinkSync('boot/vmlinuz-6.1.0-9-amd64', join(root, 'vmlinuz'));
    expect((await pvgrub(['guest', 'menu', join(folder, 'link'), '--kopt', 'root=/dev/xvda1'])).stdout).toContain('+root\t\t(hd0)');
  });

  test.each([
    ['/nowhere', 'FILE_UNREADABLE'],
    ['/dev/null', 'is no disk'],
    [import.meta.dirname, 'neither a guest'],
  ])('%s: a clear error', async (where, said) => {
    expect(await pvgrub(['guest', 'check', where])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(said) });
  });

  test('an image of another format is told how to be unpacked', async () => {
    const file = join(tempFolder(), 'disk.qcow2');
    writeFileSync(file, Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(100_000)]));
    expect(await pvgrub(['guest', 'check', file])).toMatchObject({ code: 2, stderr: expect.stringContaining('qemu-img convert -O raw') });
  });
});

describe('guest menu', () => {
  test('shows what would change, writes it with a backup, and leaves what is right', async () => {
    const { root, config, menu, map } = mounted();
    const call = (...more: string[]) => pvgrub(['guest', 'menu', root, '--domain', config, ...more]);
    const shown = await call();
    expect(shown).toMatchObject({ code: 0, stderr: expect.stringContaining('nothing is written') });
    expect(shown.stdout).toContain('-root (/dev/xvda1)\n');
    expect(shown.stdout).toContain('+root\t\t(hd0)\n');
    expect(readFileSync(menu, 'utf8')).toBe(MENU);
    chmodSync(menu, 0o600);
    expect(await call('--write')).toMatchObject({ code: 0, stdout: expect.stringContaining('menu.lst.old') });
    expect(readFileSync(`${menu}.old`, 'utf8')).toBe(MENU);
    expect(readFileSync(menu, 'utf8')).toBe(MENU.replace('root (/dev/xvda1)', 'root\t\t(hd0)').replace(' ro\n', ' ro console=hvc0\n'));
    expect(statSync(menu).mode & 0o777).toBe(0o600);
    expect(readFileSync(map, 'utf8')).toBe('(hd0)\t/dev/xvda1\n');
    expect(await call('--write')).toMatchObject({ code: 0, stdout: `${menu}: right as it is\n${map}: right as it is\n` });
    expect(existsSync(`${menu}.old.2`)).toBe(false);
  });

  test('what is not UTF-8 comes back as it was; a menu that is too large to be one is left alone', async () => {
    const { root, config, menu } = mounted();
    const old = Buffer.concat([Buffer.from('# Men\xfc \xc4\xc4\n', 'latin1'), Buffer.from(MENU)]);
    writeFileSync(menu, old);
    expect(await pvgrub(['guest', 'menu', root, '--domain', config, '--write'])).toMatchObject({ code: 0 });
    expect(readFileSync(menu).subarray(0, 9).equals(old.subarray(0, 9))).toBe(true);
    expect(readFileSync(`${menu}.old`).equals(old)).toBe(true);
    writeFileSync(menu, Buffer.alloc(400_000, '#'));
    expect(await pvgrub(['guest', 'menu', root, '--domain', config, '--write'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('cannot be read whole'),
    });
    writeFileSync(config, Buffer.concat([Buffer.from('# \xfc\n', 'latin1'), readFileSync(config)]));
    const told = await pvgrub(['guest', 'domain', config, '--image', 'pv-grub-4.17.5-x86_64', '--menu', '(hd0)/m', '--write']);
    expect(told.code).toBe(0);
    expect(readFileSync(config)[2]).toBe(0xfc);
  });

  test('a /boot of its own: its kernels are told the root of the fstab beside it', async () => {
    const { root, menu } = mounted();
    writeFileSync(menu, '');
    writeFileSync(join(root, 'etc/fstab'), '# x\nUUID=0a1b / ext4 defaults 0 1\n');
    expect((await pvgrub(['guest', 'menu', root, '--print'])).stdout).toContain('# kopt=root=UUID=0a1b ro console=hvc0\n');
  });

  test('where there is none: kernels are told what the domain told them', async () => {
    const { root, config, menu } = mounted();
    writeFileSync(menu, '');
    const { stdout, stderr } = await pvgrub(['guest', 'menu', root, '--domain', config, '--device', '(hd0,1)', '--print']);
    expect(stdout).toContain('# kopt=root=/dev/xvda1 ro console=hvc0 quiet\n');
    expect(stdout).toContain('title\t\tDebian GNU/Linux, kernel 6.1.0-9-amd64\nroot\t\t(hd0,1)\n');
    expect(stderr).toContain('extra = "(hd0,1)/boot/grub/menu.lst"');
  });

  test('a disk is never written to; a link out of the guest is not followed', async () => {
    const { root, config, menu, folder } = mounted();
    const outside = join(folder, 'outside');
    writeFileSync(outside, MENU);
    execFileSync('rm', [menu]);
    symlinkSync(outside, menu);
    const refused = await pvgrub(['guest', 'menu', root, '--domain', config, '--write']);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('leads out of') });
    expect(readFileSync(outside, 'utf8')).toBe(MENU);
    if (!MKE2FS) return;
    const disk = makeDisk(FILES, '-t ext3');
    const before = readFileSync(disk);
    expect(await pvgrub(['guest', 'menu', disk, '--write'])).toMatchObject({ code: 2, stderr: expect.stringContaining('mount -o loop') });
    expect(await pvgrub(['guest', 'menu', disk])).toMatchObject({ code: 0, stdout: expect.stringContaining('+root\t\t(hd0)') });
    expect(readFileSync(disk).equals(before)).toBe(true);
  });

  test('what the root file system is called is asked for where nothing tells', async () => {
    const { root, menu } = mounted();
    writeFileSync(menu, '');
    expect(await pvgrub(['guest', 'menu', root])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--kopt 'root=/dev/xvda1 ro console=hvc0'"),
    });
  });
});

describe.skipIf(!MKE2FS)('guest domain', () => {
  test('says which loader suits and why, and writes a configuration for it with a backup', async () => {
    const disk = makeDisk({ ...FILES, 'boot/grub/menu.lst': MENU.replace('(/dev/xvda1)', '(hd0)') }, '-t ext3');
    const { config } = mounted(disk);
    const shown = await pvgrub(['guest', 'domain', config]);
    expect(shown.stderr).toContain('pv-grub-4.22.0-x86_64: (hd0)/boot/grub/menu.lst is there');
    expect(shown.stdout).toContain('-ramdisk = "/boot/initrd"\n');
    chmodSync(config, 0o600);
    const written = await pvgrub(['guest', 'domain', config, '--write', '--kernel', '/opt/pv-grub.gz']);
    expect(written).toMatchObject({ code: 0, stdout: expect.stringContaining('guest.cfg.old') });
    expect(readFileSync(config, 'utf8')).toBe(
      `# a guest\nname = "guest"\nkernel = "/opt/pv-grub.gz"\nextra = "(hd0)/boot/grub/menu.lst"\ndisk = [ 'file:${disk},xvda1,w' ]\n`,
    );
    expect(statSync(config).mode & 0o777).toBe(0o600);
    expect(readFileSync(`${config}.old`, 'utf8')).toBe(CONFIG(disk));
  });

  test('counts disks by their numbers in the guest: swap as xvda1 is hd0', async () => {
    const disk = makeDisk({ ...FILES, 'boot/grub/menu.lst': MENU.replace('(/dev/xvda1)', '(hd1)') }, '-t ext3');
    const swap = join(tempFolder(), 'swap.img');
    const bytes = Buffer.alloc(1 << 20);
    bytes.write('SWAPSPACE2', 4086);
    writeFileSync(swap, bytes);
    const { config } = mounted();
    writeFileSync(config, `name = "a"\nkernel = "/k"\ndisk = [ 'file:${disk},xvda2,w', 'file:${swap},xvda1,w' ]\n`);
    expect(await pvgrub(['guest', 'domain', config, '--print'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('extra = "(hd1)/boot/grub/menu.lst"'),
    });
  });

  test('a disk that is named is that of the configuration with its name, or is asked for', async () => {
    const disk = makeDisk({ ...FILES, 'boot/grub/menu.lst': MENU.replace('(/dev/xvda1)', '(hd1)') }, '-t ext3');
    const { config } = mounted();
    writeFileSync(config, `name = "a"\nkernel = "/k"\ndisk = [ 'phy:/dev/vg/root,xvda2,w', 'phy:/dev/vg/swap,xvda1,w' ]\n`);
    expect(await pvgrub(['guest', 'domain', config, '--disk', disk])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not clear'),
    });
    expect((await pvgrub(['guest', 'domain', config, '--disk', `xvda2=${disk}`, '--print'])).stdout).toContain(
      'extra = "(hd1)/boot/grub/menu.lst"',
    );
  });

  test('without the disks it asks for them, or for loader and menu', async () => {
    const { config } = mounted();
    expect(await pvgrub(['guest', 'domain', config])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/at hand[\s\S]*--disk guest\.img/),
    });
    const told = await pvgrub(['guest', 'domain', config, '--image', 'pv-grub-4.17.5-x86_64', '--menu', '(hd0)/grub/menu.lst', '--print']);
    expect(told).toMatchObject({ code: 0, stdout: expect.stringContaining('extra = "(hd0)/grub/menu.lst"') });
  });

  test('an HVM guest is left alone', async () => {
    const { config } = mounted();
    writeFileSync(config, 'type = "hvm"\nname = "w"\n');
    expect(await pvgrub(['guest', 'domain', config])).toMatchObject({ code: 2, stderr: expect.stringContaining('HVM') });
  });
});
