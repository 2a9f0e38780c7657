import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { automagicPart, options } from '../../src/guest/menu/automagic.ts';
import { deviceMapText, parseDeviceMap } from '../../src/guest/menu/device-map.ts';
import { parseGrub2Config } from '../../src/guest/menu/grub-cfg.ts';
import { compareKernels, installedKernels } from '../../src/guest/menu/kernels.ts';
import { deviceText, parseDevice, parseLegacyMenu, splitPath } from '../../src/guest/menu/legacy.ts';
import { freshMenu, koptOf, type MenuPlan, repairedMenu } from '../../src/guest/menu/write.ts';

const KERNELS = installedKernels([
  'vmlinuz-6.1.0-9-amd64',
  'initrd.img-6.1.0-9-amd64',
  'vmlinuz-6.1.0-30-amd64',
  'config-6.1.0-30-amd64',
  'grub',
]);
const there = new Set(['/boot/vmlinuz-6.1.0-9-amd64', '/boot/initrd.img-6.1.0-9-amd64', '/boot/vmlinuz-6.1.0-30-amd64']);
const plan = (more: Partial<MenuPlan> = {}): MenuPlan => ({
  device: { disk: 0 },
  boot: '/boot',
  kernels: KERNELS,
  kopt: 'root=/dev/xvda1 ro console=hvc0',
  system: 'Debian GNU/Linux',
  timeout: 5,
  exists: (path) => there.has(path),
  ...more,
});

describe('menu.lst, as GRUB 0.97 reads it', () => {
  test('commands end at a blank or "=", tabs are blanks, "\\" joins lines, "#" comments', () => {
    const menu = parseLegacyMenu(
      'default=1\r\n  timeout\t5\n#title no\ntitle  One\n\troot\t(hd0)\nkernel /a b \\\n  c\ninitrd /i\ntitle Two\nroot=/dev/xvda1 ro\n',
    );
    expect(menu.global).toEqual([
      { line: 1, command: 'default', argument: '1' },
      { line: 2, command: 'timeout', argument: '5' },
    ]);
    expect(menu.entries).toMatchObject([
      {
        title: 'One',
        line: 4,
        commands: [
          { command: 'root', argument: '(hd0)' },
          { line: 6, command: 'kernel', argument: '/a b    c' },
          { line: 8, command: 'initrd' },
        ],
      },
      { title: 'Two', commands: [{ command: 'root', argument: '/dev/xvda1 ro' }] },
    ]);
  });

  test('any text is read, and every entry has a title of its own line', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('t', 'i', 'title ', '\n', '\\', '#', ' ', '\t', '\r', '=', 'kernel /a', '(hd0)') }),
        (text) => {
          const lines = text.split('\n').length;
          const menu = parseLegacyMenu(text);
          for (const { line } of [...menu.global, ...menu.entries, ...menu.entries.flatMap(({ commands }) => commands)])
            expect(line).toBeLessThanOrEqual(lines);
        },
      ),
    );
    fc.assert(fc.property(fc.string(), (text) => void parseLegacyMenu(text)));
  });

  test('devices are read as they are written', () => {
    fc.assert(
      fc.property(fc.nat(99), fc.option(fc.nat(99), { nil: undefined }), (disk, partition) => {
        const device = partition === undefined ? { disk } : { disk, partition };
        expect(parseDevice(deviceText(device))).toEqual(device);
        expect(splitPath(`${deviceText(device)}/boot/x`)).toEqual({ device: deviceText(device), path: '/boot/x' });
      }),
    );
    for (const text of ['(/dev/xvda1)', '(hd0,)', '(hd)', 'hd0', '(hd0,0', '(hd0,a)', '']) expect(parseDevice(text)).toBeUndefined();
  });
});

describe('kernels in /boot', () => {
  test('the newest comes first, each with its initial RAM disk', () => {
    expect(KERNELS).toEqual([
      { version: '6.1.0-30-amd64', kernel: 'vmlinuz-6.1.0-30-amd64', initrd: undefined },
      { version: '6.1.0-9-amd64', kernel: 'vmlinuz-6.1.0-9-amd64', initrd: 'initrd.img-6.1.0-9-amd64' },
    ]);
    expect(
      installedKernels([
        'vmlinuz-5.10.0.dpkg-new',
        'vmlinuz',
        'kernel-5.10.0',
        'vmlinuz-5.14.el9.x86_64',
        'initramfs-5.14.el9.x86_64.img',
        'vmlinuz-1~',
      ]).map(({ version, initrd }) => [version, initrd]),
    ).toEqual([
      ['5.14.el9.x86_64', 'initramfs-5.14.el9.x86_64.img'],
      ['5.10.0', undefined],
    ]);
  });

  test.each([
    ['5.10-rc1', '5.10'],
    ['5.9', '5.10'],
    ['2.6.32-5-xen', '2.6.32-41-xen'],
    ['5.10', '5.10.1'],
  ])('%s is older than %s', (a, b) => {
    expect(compareKernels(a, b)).toBeLessThan(0);
    expect(compareKernels(b, a)).toBeGreaterThan(0);
    expect(compareKernels(a, a)).toBe(0);
  });

  test('the order is one', () => {
    const version = fc
      .array(fc.constantFrom('1', '2', '10', '.', '-', 'rc', 'a', 'amd64', '~'), { maxLength: 8 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(version, version, (a, b) => void expect(Math.sign(compareKernels(a, b))).toBe(0 - Math.sign(compareKernels(b, a)))),
    );
  });
});

describe('device.map', () => {
  test('is read as it is written', () => {
    const devices = fc.uniqueArray(fc.stringMatching(/^\/dev\/[a-z0-9/]{1,20}$/), { maxLength: 8 });
    fc.assert(
      fc.property(
        devices,
        (list) =>
          void expect(parseDeviceMap(deviceMapText(list)).lines.map(({ drive, device }) => [drive, device])).toEqual(
            list.map((device, i) => [`hd${i}`, device]),
          ),
      ),
    );
  });

  test('comments are left out, other lines are told', () => {
    expect(parseDeviceMap('# x\n\n(fd0)  /dev/fd0\n(hd0) /dev/sda\r\nhd1 /dev/x\n')).toEqual({
      lines: [
        { line: 3, drive: 'fd0', device: '/dev/fd0' },
        { line: 4, drive: 'hd0', device: '/dev/sda' },
      ],
      bad: [{ line: 5, text: 'hd1 /dev/x' }],
    });
    fc.assert(fc.property(fc.string(), (text) => void parseDeviceMap(text)));
  });
});

describe('grub.cfg', () => {
  test("entries with kernel, initial RAM disks, and what they look for; Debian's way of writing them", () => {
    const config = parseGrub2Config(`
set timeout=5
function load { insmod gzio; }
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple' {
	search --no-floppy --fs-uuid --set=root 0a1b2c3d-1111-2222-3333-444455556666 # its disk
	echo	'Loading {Linux} ...'
	linux	/boot/vmlinuz-6.1 root=UUID=0a1b2c3d ro  "quiet console=hvc0"
	initrd	/boot/initrd.img-6.1 /boot/more
}
submenu "Advanced \\"options\\"" {
  menuentry 'other' { linux /boot/vmlinuz-5.10
  }
}
blscfg
`);
    expect(config).toMatchObject({
      timeout: 5,
      elsewhere: ['blscfg'],
      entries: [
        {
          title: 'Debian GNU/Linux',
          kernel: { path: '/boot/vmlinuz-6.1', args: 'root=UUID=0a1b2c3d ro quiet console=hvc0', line: 7 },
          initrds: [{ path: '/boot/initrd.img-6.1' }, { path: '/boot/more' }],
          search: ['0a1b2c3d-1111-2222-3333-444455556666'],
        },
        { title: 'other', kernel: { path: '/boot/vmlinuz-5.10' } },
      ],
    });
  });

  test('any text is read', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseGrub2Config(text)));
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('menuentry ', 'linux /a', '{', '}', "'", '"', '\\', '\n', ';', '#', ' ') }),
        (text) => void parseGrub2Config(text),
      ),
    );
  });
});

describe('a menu where none was', () => {
  test('has every kernel, the newest first, each with single-user mode, and options that update-grub takes', () => {
    const text = freshMenu(plan());
    const menu = parseLegacyMenu(text);
    expect(menu.global.map(({ command, argument }) => [command, argument])).toEqual([
      ['default', '0'],
      ['timeout', '5'],
    ]);
    expect(menu.entries.map(({ title }) => title)).toEqual([
      'Debian GNU/Linux, kernel 6.1.0-30-amd64',
      'Debian GNU/Linux, kernel 6.1.0-30-amd64 (single-user mode)',
      'Debian GNU/Linux, kernel 6.1.0-9-amd64',
      'Debian GNU/Linux, kernel 6.1.0-9-amd64 (single-user mode)',
    ]);
    expect(menu.entries[2]?.commands).toMatchObject([
      { command: 'root', argument: '(hd0)' },
      { command: 'kernel', argument: '/boot/vmlinuz-6.1.0-9-amd64 root=/dev/xvda1 ro console=hvc0' },
      { command: 'initrd', argument: '/boot/initrd.img-6.1.0-9-amd64' },
    ]);
    expect(koptOf(text)).toBe('root=/dev/xvda1 ro console=hvc0');
    // A right menu is left as it is.
    expect(repairedMenu(text, plan())).toBe(text);
  });

  test('/boot that is a file system of its own has paths without it, a partition its number', () => {
    expect(freshMenu(plan({ boot: '', device: { disk: 0, partition: 1 } }))).toMatch(/^root\t\t\(hd0,1\)\nkernel\t\t\/vmlinuz-6\.1\.0-30/m);
  });
});

describe('a menu that is repaired', () => {
  const repaired = (text: string, more: Partial<MenuPlan> = {}) => repairedMenu(text, plan(more));

  test.each([
    ["a name of Linux's becomes the loader's", 'root (/dev/xvda1)', 'root\t\t(hd0)'],
    ['a partition where there is none', 'root (hd0,0)', 'root\t\t(hd0)'],
    ['another disk, whose kernel is here', 'root (hd1)', 'root\t\t(hd0)'],
  ])('%s', (_, line, right) => {
    const text = `default 0\ntimeout 5\ntitle A\n${line}\nkernel /boot/vmlinuz-6.1.0-9-amd64 root=/dev/xvda1 console=hvc0\n`;
    expect(repaired(text)).toBe(text.replace(line, right));
  });

  test("what may be right for another system is left alone, and so are comments and one's own entries", () => {
    const text =
      '# mine\ndefault 0\ntimeout 3\n\ntitle other\nroot (hd1,0)\nkernel /kernel-of-it console=hvc0\n\n#title off\n#root (/dev/x)\ntitle halt\nhalt\n';
    expect(repaired(text)).toBe(text);
  });

  test('an entry of another partition, and what is chain-loaded, stay as they are', () => {
    const text =
      'timeout 3\ntitle other\nroot (hd0,1)\nkernel /boot/vmlinuz-of-it console=hvc0\ntitle chain\nrootnoverify (hd0,2)\nchainloader +1\ntitle far\nroot (hd1,0)\nkernel (hd1,0)/vmlinuz-6.1.0-9-amd64 console=hvc0\n';
    expect(repaired(text, { device: { disk: 0, partition: 0 } })).toBe(text.replace('root (hd1,0)', 'root\t\t(hd0,0)'));
  });

  test('what stands on one line is set apart', () => {
    expect(
      repaired(
        'timeout 1\ntitle Linux root (hd0)\nkernel /boot/vmlinuz-6.1.0-9-amd64 root=/dev/xvda1 console=hvc0 initrd /boot/initrd.img-6.1.0-9-amd64\n',
      ),
    ).toBe(
      'timeout 1\ntitle Linux\nroot (hd0)\nkernel /boot/vmlinuz-6.1.0-9-amd64 root=/dev/xvda1 console=hvc0\ninitrd /boot/initrd.img-6.1.0-9-amd64\n',
    );
  });

  test('a kernel line that was broken in two is one', () => {
    expect(
      repaired('timeout 1\ntitle L\nroot (hd0)\nkernel /boot/vmlinuz-6.1.0-9-amd64\n  root=/dev/xvda1 ro\n quiet console=hvc0\n'),
    ).toBe('timeout 1\ntitle L\nroot (hd0)\nkernel /boot/vmlinuz-6.1.0-9-amd64 root=/dev/xvda1 ro quiet console=hvc0\n');
  });

  test('paths are those of the volume, a console is named, timeout and default are there', () => {
    expect(repaired('default 7\ntitle L\nroot (hd0)\nkernel /vmlinuz-6.1.0-9-amd64 root=/dev/xvda1\n')).toBe(
      'timeout\t\t5\ndefault\t\t0\ntitle L\nroot (hd0)\nkernel /boot/vmlinuz-6.1.0-9-amd64 root=/dev/xvda1 console=hvc0\n',
    );
  });

  test("update-grub's part keeps its options and gets what is in /boot", () => {
    const before = freshMenu(plan({ device: { disk: 0, partition: 0 }, kopt: 'root=/dev/sda1 ro', kernels: KERNELS.slice(1) }))
      .replace('# howmany=all', '# howmany=1')
      .replace('# alternative=true', '# alternative=false')
      .replace('# defoptions=', '# defoptions=quiet');
    const after = repaired(`${before}\ntitle own\nhalt\n`);
    const lines = after.split('\n');
    const found = options(lines, automagicPart(lines) as never);
    expect(Object.fromEntries(found)).toEqual({
      kopt: 'root=/dev/xvda1 ro console=hvc0',
      groot: '(hd0)',
      defoptions: 'quiet',
      alternative: 'false',
      howmany: '1',
    });
    expect(parseLegacyMenu(after).entries.map(({ title }) => title)).toEqual(['Debian GNU/Linux, kernel 6.1.0-30-amd64', 'own']);
    expect(after).toContain('kernel\t\t/boot/vmlinuz-6.1.0-30-amd64 root=/dev/xvda1 ro console=hvc0 quiet\n');
  });

  test('one with nothing to boot gets what is in /boot', () => {
    const after = repaired('# only this\ncolor cyan/blue white/blue\n');
    expect(after).toMatch(/^# only this\ntimeout/);
    expect(after).toContain('color cyan/blue white/blue');
    expect(parseLegacyMenu(after).entries).toHaveLength(4);
  });

  test('what was repaired is right: a second time changes nothing', () => {
    const line = fc.constantFrom(
      'title A',
      'title B root (hd0)',
      'root (/dev/xvda1)',
      'root (hd0,0)',
      'root (hd1)',
      'kernel /vmlinuz-6.1.0-9-amd64 ro',
      'kernel /boot/vmlinuz-6.1.0-30-amd64 initrd /x',
      'root=/dev/xvda1',
      'initrd /initrd.img-6.1.0-9-amd64',
      'timeout x',
      'default 9',
      '# c',
      '',
      'quiet',
      'halt',
      ...freshMenu(plan()).split('\n').slice(5, 12),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 15 }), (lines) => {
        const once = repaired(lines.join('\n'));
        expect(repaired(once)).toBe(once);
      }),
    );
  });
});

test.each([
  ['backslashes', `${'\\'.repeat(200_000)}x`],
  ['blanks', `title a${' '.repeat(200_000)}b`],
  ['blanks after a root', `title a\nroot${' '.repeat(200_000)}x`],
  ['joined lines', 'a\\\n'.repeat(60_000)],
])('a menu of nothing but %s is read and repaired at once', (_, text) => {
  const started = performance.now();
  parseLegacyMenu(text);
  repairedMenu(text, plan());
  expect(performance.now() - started).toBeLessThan(10_000);
});
