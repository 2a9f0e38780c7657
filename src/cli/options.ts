import { Option } from 'commander';

/** Options that several commands have. */

/** Gather a repeated option. */
export const several = (value: string, before: string[] = []) => [...before, value];

export const configOption = () => new Option('--config <file>', 'configuration to use instead of the one found from here upward');
export const keyOption = () => new Option('--key <file>', 'the private key to sign with; without it the one in PVGRUB_KEY');
export const storeOption = () => new Option('--store <dir>', 'folder of the store of sources');
export const originOption = () =>
  new Option(
    '--origin <name=origin>',
    'where to get a source instead: tarball, git:REPO[#COMMIT], dir:FOLDER, debian:PKG/FILE@SUITE (repeatable)',
  ).argParser(several);
export const trustOption = () =>
  new Option('--trust <name>', 'take this source although nothing proves it; results are marked unpinned (repeatable)').argParser(several);
export const offlineOption = () => new Option('--offline', 'open no connection');
export const jsonOption = () => new Option('--json', 'print JSON');
export const guestOption = () =>
  new Option('--guest <kind>', 'tiny: our test guest; linux: a Debian Linux, too').default('tiny').choices(['tiny', 'linux']);
export const accelOption = () =>
  new Option('--accel <kind>', 'auto: KVM where it is real, else emulation; tcg: emulation; kvm: even if it looks unreal')
    .default('auto')
    .choices(['auto', 'tcg', 'kvm']);
export const engineOption = () =>
  new Option(
    '--engine <where>',
    'auto, private, or an address: unix:///…, tcp://…, ssh://… (repeatable: the first that answers)',
  ).argParser(several);
export const enginesOption = () =>
  new Option(
    '--engine <where>',
    'auto, private, or an address: unix:///…, tcp://…, ssh://… (repeatable: cells go to all of them)',
  ).argParser(several);

export const imageOption = () =>
  new Option('--image <image>', 'the loader: an image file, a cell, or a glob over cells (repeatable)').argParser(several);
export const deviceOption = () =>
  new Option('--device <device>', "what a folder's file system is to the loader, such as (hd0) or (hd0,0), where that cannot be seen");

export const progressOption = () => new Option('--progress <kind>', 'auto, tty, plain, json or quiet').default('auto');
export const junitOption = () => new Option('--junit <file>', 'write what became of the cells as JUnit XML, for CI services');
export const summaryOption = () =>
  new Option('--summary <file>', 'append a table of the images to this file, as Markdown (on a GitHub runner: to its job summary)');
export const outOption = () => new Option('--out <dir>', 'folder of the results');
export const noSetupOption = () => new Option('--no-setup', 'install and start nothing');
export const yesOption = () => new Option('-y, --yes', 'do not ask before set-up');
