import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { parseDomain, rewriteDomain } from '../../src/guest/domain/read.ts';
import { parseDisk, vdevNumber } from '../../src/guest/domain/virtual-disk.ts';
import { assignedValue, parseXlConfig, xlString } from '../../src/guest/domain/xl-config.ts';

const PV = { kernel: '/usr/lib/xen/boot/pv-grub-x86_64.gz', menu: '(hd0)/boot/grub/menu.lst', type: 'pv' } as const;
const rewrite = (text: string, through: Parameters<typeof rewriteDomain>[1] = PV) => rewriteDomain({ path: 'x', text }, through);

const OLD = `# the guest of 2010
kernel  = '/boot/vmlinuz-2.6.32-5-xen-amd64'  # from dom0
ramdisk = "/boot/initrd.img-2.6.32-5-xen-amd64"
memory  = '512'; vcpus = 2
disk    = [
            'phy:/dev/vg0/guest-disk,xvda2,w',  # root
            'file:/srv/swap.img,xvda1,w',
          ]
root    = '/dev/xvda2 ro' # its root
extra   = "console=hvc0 xencons=tty"
name    = "guest"
`;

describe("a configuration of xl's or xm's", () => {
  test('is read: what it boots, and its disks in the order in which loaders count them', () => {
    expect(parseDomain(OLD, 'x')).toEqual({
      format: 'xl',
      type: 'pv',
      kernel: '/boot/vmlinuz-2.6.32-5-xen-amd64',
      ramdisk: '/boot/initrd.img-2.6.32-5-xen-amd64',
      bootloader: undefined,
      commandLine: 'root=/dev/xvda2 ro console=hvc0 xencons=tty',
      memory: 512,
      disks: [
        { target: '/srv/swap.img', format: 'raw', vdev: 'xvda1', number: 51713 },
        { target: '/dev/vg0/guest-disk', format: 'raw', vdev: 'xvda2', number: 51714 },
      ],
    });
  });

  test('boots through a loader: kernel, ramdisk, root and extra change, order and comments stay', () => {
    expect(rewrite(OLD)).toBe(
      OLD.replace("'/boot/vmlinuz-2.6.32-5-xen-amd64'", '"/usr/lib/xen/boot/pv-grub-x86_64.gz"')
        .replace(/ramdisk.*\n/, '')
        .replace(/root {4}= '.*' # its root/, '# its root')
        .replace('"console=hvc0 xencons=tty"', '"(hd0)/boot/grub/menu.lst"'),
    );
  });

  test('that boots by pygrub gets kernel and extra in its place', () => {
    expect(rewrite('name = "a"\nbootloader = "pygrub"\nmemory = 1\n')).toBe(
      'name = "a"\nkernel = "/usr/lib/xen/boot/pv-grub-x86_64.gz"\nextra = "(hd0)/boot/grub/menu.lst"\nmemory = 1\n',
    );
  });

  test('for PVH has its type said and no builder; without a menu no extra', () => {
    expect(rewrite('builder = "generic"\nkernel = "/k"\nextra = "x"\nname = "a"\n', { kernel: '/l', menu: undefined, type: 'pvh' })).toBe(
      'type = "pvh"\nkernel = "/l"\nname = "a"\n',
    );
    expect(rewrite('type = "pvh"\nkernel = "/k"\nname = "a"\n')).toContain('type = "pv"');
  });

  test.each([
    ['type = "hvm"', 'hvm'],
    ['builder = "hvm"', 'hvm'],
    ["kernel = '/usr/lib/xen/boot/hvmloader'", 'hvm'],
    ['pvh = 1', 'pvh'],
    ['type="pvh"', 'pvh'],
    ['name = "a"', 'pv'],
  ])('%s is %s', (text, type) => expect(parseDomain(text, 'x').type).toBe(type));

  test.each([
    ['kernel = "/boot/vmlinuz-%s" % version', 'line 1: what kernel is, only Python could tell'],
    ['name = "a"\nif arch == "x86":\n  kernel = "/b"\n', 'line 3: what kernel is'],
    ['name = "a\n', 'a string does not end'],
    ['disk = [ "a"\n', 'a list does not end'],
    [`disk = ${'['.repeat(200)}`, 'nested too deep'],
    ['hello world\n', 'nothing of a domain'],
  ])('%j is refused: %s', (text, why) => {
    expect(() => parseDomain(text, 'guest.cfg')).toThrow(UsageError);
    expect(() => parseDomain(text, 'guest.cfg')).toThrow(why);
  });

  test("Python that does not matter is left as it is: xm's old files had it", () => {
    const text = 'import os\nname = "a" + os.uname()[1]\nkernel = "/k"\nvif = [ \'\' ]\n';
    expect(rewrite(text)).toBe(
      text
        .replace('kernel = "/k"\n', 'extra = "(hd0)/boot/grub/menu.lst"\nkernel = "/usr/lib/xen/boot/pv-grub-x86_64.gz"\n')
        .replace(/^(import os\nname.*\n)(extra.*\n)(kernel.*\n)/, '$1$2$3'),
    );
  });

  test('"+=" goes on with what was assigned before; a blank after ";" is no block of Python', () => {
    const text = 'disk=["phy:/a,xvda1,w"]\ndisk+=["phy:/b,xvda2,w"]\nextra="a"\nextra+=" b"\nmemory=512; kernel="/v"\n';
    expect(parseDomain(text, 'x')).toMatchObject({ kernel: '/v', commandLine: 'a b', disks: [{ target: '/a' }, { target: '/b' }] });
    expect(parseDomain(rewrite(text), 'x')).toMatchObject({ kernel: PV.kernel, commandLine: PV.menu, disks: [{}, {}] });
  });

  test('strings are read as they are written', () => {
    fc.assert(
      fc.property(fc.string(), (text) => void expect(assignedValue(parseXlConfig(`a = ${xlString(text)}\n`, 'x'), 'a')).toBe(text)),
    );
  });

  test('any text is read or refused, and what is rewritten reads as it was meant', () => {
    const piece = fc.constantFrom(
      'kernel',
      ' = ',
      '"',
      "'",
      '[',
      ']',
      ',',
      '\n',
      '#',
      ';',
      '\\',
      'root="a"',
      'extra=1',
      'disk=["a,xvda,w"]',
      'x',
      '0x1f',
      'type="pv"',
      '(',
      '\t',
      'ramdisk = "b" # c\n',
    );
    const text = fc.oneof(fc.string(), fc.string({ unit: piece, maxLength: 30 }));
    fc.assert(
      fc.property(text, (content) => {
        let out: string;
        try {
          out = rewrite(`name = "n"\n${content}`);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          return;
        }
        expect(parseDomain(out, 'x')).toMatchObject({ kernel: PV.kernel, commandLine: PV.menu, ramdisk: undefined, bootloader: undefined });
      }),
      { numRuns: 500 },
    );
  });
});

describe('disks of a configuration', () => {
  // From xl-disk-configuration(5).
  test.each([
    ['/dev/vg/guest-volume,,hda', '/dev/vg/guest-volume', 'raw', 768],
    ['/dev/vg/guest-volume,raw,hda,rw', '/dev/vg/guest-volume', 'raw', 768],
    ['format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume', '/dev/vg/guest-volume', 'raw', 768],
    ['raw:/dev/vg/guest-volume,hda,w', '/dev/vg/guest-volume', 'raw', 768],
    ['/root/image.iso,,hdc,cdrom', '/root/image.iso', 'raw', 5632],
    ['raw:/root/image.iso,hdc:cdrom,ro', '/root/image.iso', 'raw', 5632],
    ['tap:aio:/some/path,xvda1,w', '/some/path', 'raw', 51713],
    ['tap2:qcow2:/some/path,xvda,w', '/some/path', 'qcow2', 51712],
    ['qcow2:/some/path,xvdb,w', '/some/path', 'qcow2', 51728],
    ['vdev=xvdq,target=/a,b', '/a,b', 'raw', 268439552],
    [',,hdc,cdrom', undefined, 'raw', 5632],
  ])('%s', (spec, target, format, number) => expect(parseDisk(spec)).toMatchObject({ target, format, number }));

  test('what is no virtual device is none', () => {
    for (const name of ['', 'xvd', 'eth0', 'hde', 'sdz', 'xvda99999', 'xvdaaaaa']) expect(vdevNumber(name)).toBeUndefined();
    fc.assert(fc.property(fc.string(), (spec) => void parseDisk(spec)));
  });
});

describe('libvirt XML', () => {
  const XML = `<domain type='xen'>
  <name>a</name>
  <bootloader>/usr/bin/pygrub</bootloader>
  <os>
    <type arch='x86_64' machine='xenpv'>linux</type>
    <kernel>/boot/a &amp; b</kernel> <!-- from dom0 -->
    <initrd>/boot/initrd</initrd>
    <cmdline>root=/dev/xvda1 ro</cmdline>
  </os>
  <memory unit='KiB'>131072</memory>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/srv/x.img'/><target dev='xvda' bus='xen'/></disk>
  </devices>
</domain>
`;

  test('is read', () => {
    expect(parseDomain(XML, 'x')).toEqual({
      format: 'libvirt',
      type: 'pv',
      kernel: '/boot/a & b',
      ramdisk: '/boot/initrd',
      bootloader: '/usr/bin/pygrub',
      commandLine: 'root=/dev/xvda1 ro',
      memory: 128,
      disks: [{ target: '/srv/x.img', format: 'qcow2', vdev: 'xvda', number: 51712 }],
    });
  });

  test('boots through a loader, and nothing else of it changes', () => {
    expect(rewrite(XML)).toBe(
      XML.replace(/ {2}<bootloader>.*\n/, '')
        .replace('/boot/a &amp; b', PV.kernel)
        .replace(/ {4}<initrd>.*\n/, '')
        .replace('root=/dev/xvda1 ro', PV.menu),
    );
    expect(rewrite(XML, { kernel: '/l', menu: undefined, type: 'pvh' })).toContain("<type arch='x86_64' machine='xenpvh'>xenpvh</type>");
  });

  test.each([
    ["<domain type='kvm'><os><type>linux</type></os></domain>", 'of kvm'],
    ["<domain type='xen'><os>", 'is no XML of a domain'],
    ['<network/>', 'its root is network'],
    ['<!DOCTYPE d [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><domain type="xen"><name>&c;</name></domain>', 'is no XML of a domain'],
    ['<a>'.repeat(500), 'nested too deep'],
  ])('%s is refused: %s', (text, why) => expect(() => parseDomain(text, 'x')).toThrow(why));

  test('any text is read or refused', () => {
    const piece = fc.constantFrom(
      '<domain type="xen">',
      '</domain>',
      '<os>',
      '</os>',
      '<type>linux</type>',
      '<kernel/>',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '&amp;',
      '<',
      '>',
      '"',
      ' ',
      '\n',
      'x',
    );
    fc.assert(
      fc.property(fc.string({ unit: piece, maxLength: 20 }), (text) => {
        try {
          expect(parseDomain(rewrite(`<${text}`), 'x').kernel).toBe(PV.kernel);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
