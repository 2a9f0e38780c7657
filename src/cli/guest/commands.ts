import { type Command, Option } from 'commander';
import {
  accelOption,
  deviceOption,
  engineOption,
  imageOption,
  jsonOption,
  noSetupOption,
  offlineOption,
  originOption,
  several,
  storeOption,
  yesOption,
} from '../options.ts';

/** The commands of `pvgrub guest`: each loads what it needs only when it runs. */
export function guestCommands(pvgrub: Command): void {
  const guest = pvgrub.command('guest').description('prepare a guest so that it boots through a loader');
  guest
    .command('check')
    .description('tell whether a guest boots, by which loaders, and what stands in the way; reads only')
    .argument('<where...>', "the guest's disks (images or block devices, in its order), or its mounted /boot or root")
    .addOption(imageOption())
    .option('--from <place>', 'check for the images of this publication: URL, oci://registry/repository, or a folder')
    .option('--key <key>', "the publisher's public key: a file, or the line in it")
    .addOption(deviceOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  pvgrub guest check /dev/vg0/guest-disk\n  pvgrub guest check guest.img --image /usr/lib/xen/boot/pv-grub-x86_64.gz\n  pvgrub guest check /boot',
    )
    .action(async (where, options) => (await import('./check.ts')).checkCommand(where, options));
  guest
    .command('menu')
    .description("a right menu.lst and device.map, from what is in the guest's /boot; shows what would change unless it is to write")
    .argument('<where...>', "the guest's mounted root or /boot; or its disks, to see")
    .option('--domain <config>', "the domain's configuration: what its kernel was told, and names of its disks")
    .addOption(deviceOption())
    .option('--kopt <arguments>', "what kernels are told, such as 'root=/dev/xvda1 ro console=hvc0'")
    .option('--timeout <seconds>', 'how long the menu waits, where it does not say', '5')
    .option('--diff', 'show the changes (default)')
    .option('--print', 'print the files whole')
    .option('--write', 'write them; what was there is kept as .old')
    .addHelpText(
      'after',
      '\nExamples:\n  pvgrub guest menu /mnt/guest --domain /etc/xen/guest.cfg\n  pvgrub guest menu /boot --write        # in the guest itself',
    )
    .action(async (where, options) => (await import('./menu.ts')).menuCommand(where, options));
  guest
    .command('domain')
    .description("a domain's configuration that boots through a loader, and which one suits; shows what would change unless it is to write")
    .argument('<config>', 'configuration of xl or xm, or libvirt XML')
    .option('--disk <disk>', "the guest's disks, in its order, where they are not those of the configuration (repeatable)", several)
    .addOption(imageOption())
    .option('--from <place>', 'choose among the images of this publication: URL, oci://registry/repository, or a folder')
    .option('--key <key>', "the publisher's public key: a file, or the line in it")
    .option('--menu <menu>', "the menu, such as '(hd0)/boot/grub/menu.lst', where it cannot be seen")
    .option('--kernel <path>', 'where the loader is, or will be, in dom0')
    .option('--root <dir>', 'the dom0 that is meant', '/')
    .option('--diff', 'show the changes (default)')
    .option('--print', 'print the configuration whole')
    .option('--write', 'write it; what was there is kept as .old')
    .addHelpText(
      'after',
      "\nExamples:\n  pvgrub guest domain /etc/xen/guest.cfg\n  virsh dumpxml guest > guest.xml && pvgrub guest domain guest.xml --print > new.xml\n  pvgrub guest domain guest.cfg --image pv-grub-4.17.5-x86_64 --menu '(hd0)/boot/grub/menu.lst'",
    )
    .action(async (config, options) => (await import('./domain.ts')).domainCommand(config, options));
  guest
    .command('try')
    .description('boot a guest from its own disk in a real Xen under QEMU, its console live; nothing is written to the disk')
    .argument('<disk>', "the guest's disk: an image or block device")
    .argument('[config]', "the domain's configuration: loader, menu, memory, and its other disks")
    .option('--disk <disk>', 'another disk of the guest (repeatable)', several)
    .option('--image <image>', 'the loader: an image file, or a cell that is built')
    .option('--menu <menu>', "the menu, such as '(hd0)/boot/grub/menu.lst', where it is not what the disk or configuration says")
    .option('--memory <MiB>', 'memory of the guest')
    .option('--limit <seconds>', 'time that it has')
    .addOption(
      new Option('--until <goal>', 'how far it is to come, where nobody sits at a terminal')
        .choices(['menu', 'kernel', 'login'])
        .default('kernel'),
    )
    .addOption(accelOption())
    .option('--out <dir>', 'folder with images that are built')
    .addOption(noSetupOption())
    .addOption(yesOption())
    .option('--base <image>', 'base of the boot image: auto, mmdebstrap, or an image of the engine')
    .addOption(jsonOption())
    .addOption(offlineOption())
    .addOption(originOption())
    .addOption(storeOption())
    .addOption(engineOption())
    .addHelpText(
      'after',
      '\nExamples:\n  pvgrub guest try guest.img --image pv-grub-x86_64.gz\n  pvgrub guest try /dev/vg0/guest-disk /etc/xen/guest.cfg --until login',
    )
    .action(async (disk, config, options) => (await import('./try.ts')).tryCommand(disk, config, options));
}
