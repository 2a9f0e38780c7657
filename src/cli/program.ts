import { Command, Option } from 'commander';
import { VERSION } from '../catalog/load.ts';
import { guestCommands } from './guest/commands.ts';
import { operatorCommands } from './operator-commands.ts';
import {
  accelOption,
  configOption,
  engineOption,
  enginesOption,
  guestOption,
  jsonOption,
  junitOption,
  keyOption,
  noSetupOption,
  offlineOption,
  originOption,
  outOption,
  progressOption,
  several,
  storeOption,
  summaryOption,
  trustOption,
  yesOption,
} from './options.ts';

/** The command line: every command with its options. What a command needs is loaded only when it runs. */
export function program(): Command {
  const pvgrub = new Command('pvgrub')
    .description("Builds Xen's PV boot loaders, reproducibly: pv-grub of every Xen release that has it, and GRUB 2's Xen port (pvgrub2).")
    .version(VERSION)
    .showHelpAfterError("('pvgrub help <command>' tells more)")
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 some cells failed, 2 usage or configuration, 3 a source cannot be had or does not match,\n4 no engine, 5 an output failed inspection or did not boot, 6 verification failed, 7 not reproducible, 130 interrupted.',
    );

  pvgrub
    .command('matrix')
    .description('show what would be built, from what, and why')
    .argument('[selector...]', "globs over cell ids, such as 'pv-grub-4.1.*-x86_64'; '!' excludes")
    .addOption(
      new Option('--format <format>', 'table, json, or jobs for a CI service: github (one line of JSON), gitlab (a child pipeline)')
        .choices(['table', 'json', 'github', 'gitlab'])
        .default('table'),
    )
    .option('--parts <n>', 'how many jobs at the most, each of cells that take about as long; 256 if not said')
    .option('--why', 'tell for each cell its sources, edits and why it is not built')
    .addOption(configOption())
    .addOption(storeOption())
    .addOption(trustOption())
    .addOption(outOption())
    .option('--base <image>', 'base of the build image')
    .addHelpText('after', "\nExample:\n  pvgrub matrix 'pv-grub-4.17.*' --why")
    .action(async (selectors, options) => (await import('./matrix.ts')).matrixCommand(selectors, options));

  pvgrub
    .command('build')
    .description('build cells; without a selector the default ones of the configuration')
    .argument('[selector...]', "globs over cell ids; '!' excludes")
    .option('-j, --jobs <n>', 'cores for all cells together')
    .option('--out <dir>', 'folder for the results')
    .option('--boot', 'boot each image in a real Xen before it is placed; one that does not boot as it should fails')
    .addOption(guestOption())
    .addOption(accelOption())
    .option('--shard <i/n>', 'only the i-th of n parts that take about as long as each other; pvgrub merge joins them')
    .option('--no-cache', 'take nothing from earlier builds: neither images nor toolchains')
    .option('--cache-dir <dir>', 'folder of toolchains that later builds may take over')
    .option('--debug', 'keep the logs of failed cells in <out>/failed, and their volumes for pvgrub shell')
    .addOption(noSetupOption())
    .addOption(yesOption())
    .option(
      '--base <image>',
      'base of the build image: auto, mmdebstrap, store (the build image itself, from the store), or an image of the engine',
    )
    .addOption(progressOption())
    .addOption(junitOption())
    .addOption(summaryOption())
    .addOption(offlineOption())
    .addOption(originOption())
    .addOption(trustOption())
    .addOption(storeOption())
    .addOption(enginesOption())
    .addOption(configOption())
    .addHelpText(
      'after',
      "\nExamples:\n  pvgrub build pvgrub2-2.14-x86_64\n  pvgrub build 'pv-grub-4.17.*' --origin xen=git:/srv/mirror/xen.git --origin grub=/srv/files/grub-0.97.tar.gz",
    )
    .action(async (selectors, options) => (await import('./build.ts')).buildCommand(selectors, options));

  pvgrub
    .command('boot')
    .description('boot images in a real Xen under QEMU, and tell what happened')
    .argument('[image...]', 'image files, or globs over cells that are built; the default cells if none')
    .addOption(guestOption())
    .addOption(accelOption())
    .option('--cases <names>', 'only these cases, with commas between them: disk, partition, ext4 … stress (docs/boot.md)')
    .option('--repeat <n>', 'go through all cases so often')
    .option('-j, --jobs <n>', 'machines side by side')
    .addOption(outOption())
    .addOption(noSetupOption())
    .addOption(yesOption())
    .option('--base <image>', 'base of the boot image: auto, mmdebstrap, or an image of the engine')
    .addOption(progressOption())
    .addOption(jsonOption())
    .addOption(offlineOption())
    .addOption(originOption())
    .addOption(storeOption())
    .addOption(engineOption())
    .addOption(configOption())
    .addHelpText(
      'after',
      '\nExamples:\n  pvgrub boot /usr/lib/xen/boot/pv-grub-x86_64.gz\n  pvgrub boot pv-grub-4.17.5-x86_64 --guest linux\n  pvgrub boot pv-grub-4.17.5-x86_64 --cases stress --repeat 50',
    )
    .action(async (images, options) => (await import('./boot.ts')).bootCommand(images, options));

  pvgrub
    .command('reproduce')
    .description('build cells again, with everything changed that must not matter, and compare bit for bit')
    .argument('[selector...]', 'globs over cells that are built; the default cells if none')
    .option('--sample <n>', 'only n of the cells that are built, chosen by what came out, so that nobody knows them before')
    .option('--vary <names>', 'only these variations, with commas between them; !name: all but that (docs/reproduce.md)')
    .option('--other-engine <address>', 'a second engine to build on: the variation "engine"')
    .option('--from <provenance>', 'build the image of this .intoto.jsonl again from it alone, without a network, and compare')
    .option('--signed-by <key>', 'with --from: the public key that the provenance must be signed by')
    .option('--key <file>', 'with --from: your own private key, to attest what came of it; or the one in PVGRUB_KEY')
    .option('-j, --jobs <n>', 'cores for all cells together')
    .addOption(outOption())
    .addOption(noSetupOption())
    .addOption(yesOption())
    .option(
      '--base <image>',
      'base of the build image: auto, mmdebstrap, store (the build image itself, from the store), or an image of the engine',
    )
    .addOption(progressOption())
    .addOption(junitOption())
    .addOption(summaryOption())
    .addOption(offlineOption())
    .addOption(originOption())
    .addOption(trustOption())
    .addOption(storeOption())
    .addOption(engineOption())
    .addOption(configOption())
    .addHelpText(
      'after',
      "\nExamples:\n  pvgrub reproduce 'pv-grub-4.17.*'\n  pvgrub reproduce pvgrub2-2.14-x86_64 --vary clock,path\n  pvgrub reproduce --from pv-grub-x86_64.gz.intoto.jsonl --signed-by publisher.pub --key ~/own.key",
    )
    .action(async (selectors, options) => (await import('./reproduce.ts')).reproduceCommand(selectors, options));

  pvgrub
    .command('attest')
    .description('write buildinfo, SBOM and signed provenance beside images that are built')
    .argument('[selector...]', 'globs over cells that are built; the default cells if none')
    .addOption(keyOption())
    .addOption(outOption())
    .addOption(noSetupOption())
    .addOption(yesOption())
    .option(
      '--base <image>',
      'base of the build image: auto, mmdebstrap, store (the build image itself, from the store), or an image of the engine',
    )
    .addOption(offlineOption())
    .addOption(storeOption())
    .addOption(engineOption())
    .addOption(configOption())
    .addHelpText('after', "\nExample:\n  pvgrub attest 'pv-grub-4.17.*' --key ~/pvgrub.key")
    .action(async (selectors, options) => (await import('./attest.ts')).attestCommand(selectors, options));

  pvgrub
    .command('publish')
    .description('sign images and put them where people get them: a folder for any web server, or an OCI registry')
    .argument('<target>', 'a folder, or oci://registry/repository')
    .argument('[selector...]', 'globs over cells in --from; all if none')
    .option('--from <dir>', 'folder with the results, attested')
    .addOption(keyOption())
    .option('--allow-unproven', 'also images that are unpinned, not booted or not built again; they are marked')
    .option('--name <name>', 'name of the publication, kept from then on; two by one key need two names')
    .option('--url <url>', 'where people will find it, for the commands on its page')
    .option('--expires <days>', 'how long the index holds; publishing renews it in the last third', '365')
    .option('--renew', 'a new serial and expiry although nothing has changed')
    .option('--withdraw <id>', 'take an image out of the index (repeatable)', several)
    .option('--prune', 'remove images that were superseded before this run')
    .option('--next-key <key>', 'announce the public key that will sign after this one')
    .option('--key-before <key>', 'the public key that signed what is there, where this key follows it')
    .option('--revoke <id>', 'refuse a key from now on (repeatable)', several)
    .option('--why <text>', 'why it is revoked')
    .option('--deb [name]', 'write a Debian package of the images into that folder instead (name: pv-grub)')
    .option('--maintainer <who>', 'of that package: Name <address>; or DEBFULLNAME and DEBEMAIL')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  pvgrub publish /srv/www/pv-grub --from artifacts --key ~/pvgrub.key --url https://example.org/pv-grub\n  pvgrub publish oci://registry.example.org/pv-grub --from artifacts --key ~/pvgrub.key',
    )
    .action(async (target, selectors, options) => (await import('./publish.ts')).publishCommand(target, selectors, options));

  pvgrub
    .command('verify')
    .description('check a publication, or a file of one: sums, signatures, index, attestations, strays')
    .argument('<what>', 'a folder, URL, or image file with its .minisig beside it')
    .option('--key <key>', "the publisher's public key: a file, or the line in it")
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  pvgrub verify /srv/www/pv-grub --key pvgrub.key.pub\n  pvgrub verify pv-grub-x86_64.gz --key RWQ…',
    )
    .action(async (what, options) => (await import('./verify.ts')).verifyCommand(what, options));

  pvgrub
    .command('pull')
    .description('get images of a publication, checked; the ones for the Xen that runs here if none is named')
    .argument('[selector...]', "a Xen release such as 4.17 or 4.17.5-x86_64, pvgrub2, an id, a glob, or 'host'")
    .option('--from <place>', 'URL of the publication, oci://registry/repository, or a folder')
    .option('--key <key>', "the publisher's public key: a file, or the line in it")
    .option('--out <dir>', 'folder to put the images in (default: here)')
    .option('--install', 'install them where the Xen of this machine looks; what was there is kept')
    .option('--to <dir>', 'install them there')
    .option('--roll-back', 'take the images again that were there before; names of files instead of selectors')
    .option('--root <dir>', 'the system to install to', '/')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  pvgrub pull 4.17 --from https://example.org/pv-grub --key RWQ…\n  pvgrub pull --from https://example.org/pv-grub --key RWQ… --install\n  pvgrub pull --roll-back',
    )
    .action(async (selectors, options) => (await import('./pull.ts')).pullCommand(selectors, options));

  pvgrub
    .command('merge')
    .description('join the results of shards: their cells, journals, and sums; or publications by one key')
    .argument('<folders...>', 'folders that build --out wrote, or that were published to')
    .option('--out <dir>', 'folder that takes all results; what it has stays')
    .addOption(keyOption())
    .option('--expires <days>', 'how long the index of publications holds', '365')
    .addOption(summaryOption())
    .addHelpText('after', '\nExample:\n  pvgrub merge shard-1 shard-2 --out artifacts')
    .action(async (folders, options) => (await import('./merge.ts')).mergeCommand(folders, options));

  const key = pvgrub.command('key').description('keys that sign what is published');
  key
    .command('generate')
    .description('make an ed25519 key: the private half encrypted with a passphrase, the public one as <file>.pub for minisign')
    .requiredOption('--out <file>', 'the file to write')
    .addHelpText(
      'after',
      '\nThe passphrase is asked for, or taken from PVGRUB_KEY_PASSPHRASE.\n\nExample:\n  pvgrub key generate --out ~/pvgrub.key',
    )
    .action(async (options) => (await import('./key.ts')).generateCommand(options));
  key
    .command('show')
    .description('print the public half of a key')
    .argument('[file]', 'a private or public key; the one in PVGRUB_KEY if none')
    .addHelpText('after', '\nExample:\n  pvgrub key show ~/pvgrub.key')
    .action(async (file) => (await import('./key.ts')).showCommand(file));

  const sources = pvgrub.command('sources').description('the store of verified sources');
  sources
    .command('fetch')
    .description('make sure that all sources of these cells are in the store')
    .argument('[selector...]', 'globs over cell ids; the default cells if none')
    .addOption(progressOption())
    .addOption(offlineOption())
    .addOption(originOption())
    .addOption(trustOption())
    .addOption(storeOption())
    .addOption(configOption())
    .addHelpText('after', "\nExample:\n  pvgrub sources fetch 'pvgrub2-*'")
    .action(async (selectors, options) => (await import('./sources.ts')).fetchCommand(selectors, options));
  sources
    .command('list')
    .description('what the store has')
    .addOption(jsonOption())
    .addOption(storeOption())
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  pvgrub sources list --json')
    .action(async (options) => (await import('./sources.ts')).listCommand(options));
  sources
    .command('verify')
    .description('read everything in the store again; what has changed on disk is taken out')
    .addOption(jsonOption())
    .addOption(storeOption())
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  pvgrub sources verify')
    .action(async (options) => (await import('./sources.ts')).verifyCommand(options));
  sources
    .command('export')
    .description('write the sources of these cells (or all) into one archive for another machine')
    .argument('<file>', 'the archive to write (.tar)')
    .argument('[selector...]', 'globs over cell ids; everything in the store if none')
    .option('--for <selector>', 'all that images in --out are made of: sources, edits, recipe and build image; may be repeated', several)
    .option('--build-image', 'the build image, too, which is made if need be: --base store takes it elsewhere; without selectors it alone')
    .option('--out <dir>', 'folder of the results, for --for')
    .addOption(noSetupOption())
    .addOption(yesOption())
    .addOption(trustOption())
    .addOption(storeOption())
    .addOption(engineOption())
    .addOption(configOption())
    .addHelpText(
      'after',
      "\nExamples:\n  pvgrub sources export sources.tar 'pv-grub-4.17.5-*'\n  pvgrub sources export corresponding-source.tar --for pv-grub-4.17.5-x86_64",
    )
    .action(async (file, selectors, options) => (await import('./sources.ts')).exportCommand(file, selectors, options));
  sources
    .command('import')
    .description('take in an archive that `sources export` wrote; everything in it is checked')
    .argument('<file>', 'the archive to read')
    .addOption(trustOption())
    .addOption(storeOption())
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  pvgrub sources import sources.tar')
    .action(async (file, options) => (await import('./sources.ts')).importCommand(file, options));

  sources
    .command('lock')
    .description(
      "check the signatures of Xen's tarballs that have no published SHA-256 or SHA-512, and write their checksums into the lock file",
    )
    .argument('[selector...]', 'globs over cell ids; all cells if none')
    .requiredOption('--key-file <file>', 'the OpenPGP key that signs Xen releases; the catalog pins its fingerprint')
    .option('--lock <file>', 'the lock file (default: sources.lock.json beside the configuration)')
    .addOption(progressOption())
    .addOption(offlineOption())
    .addOption(originOption())
    .addOption(storeOption())
    .addOption(configOption())
    .addHelpText('after', "\nExample:\n  pvgrub sources lock --key-file xen-signing-key.asc 'pv-grub-4.17.*'")
    .action(async (selectors, options) => (await import('./lock.ts')).lockCommand(selectors, options));

  pvgrub
    .command('inspect')
    .description('tell what an image is: loader, width, entry, Xen notes, compression')
    .argument('<file...>', 'images, or any files')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  pvgrub inspect /usr/lib/xen/boot/pv-grub-x86_64.gz')
    .action(async (files, options) => (await import('./inspect.ts')).inspectCommand(files, options));

  guestCommands(pvgrub);

  operatorCommands(pvgrub);

  return pvgrub;
}
