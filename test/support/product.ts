import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Called, pvgrub, root } from './cli.ts';
import { makeStandIn, type StandIn } from './stand-in.ts';

/** A folder with a configuration that names the stand-in's one release, and the data that makes it a product of its own. */
export interface Product {
  folder: string;
  standIn: StandIn;
  /** Call the command line there. */
  call: (args: string[], env?: NodeJS.ProcessEnv) => Promise<Called>;
  /** --origin options that lead to the stand-in's tarballs. */
  origins: (names?: string[]) => string[];
  remove: () => void;
}

/** Make such a folder. */
export function makeProduct(): Product {
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-product-'));
  const standIn = makeStandIn();
  const { catalog } = standIn.data;
  mkdirSync(join(folder, 'data/catalog'), { recursive: true });
  const write = (name: string, value: unknown) => writeFileSync(join(folder, 'data/catalog', name), JSON.stringify(value));
  write('xen.json', catalog.xen);
  write('mini-os.json', catalog.miniOs);
  write('externals.json', { externals: catalog.externals });
  write('reads.json', catalog.reads);
  write('grub2.json', catalog.grub2);
  write('licences.json', catalog.licences);
  cpSync(join(root, 'test/fixtures/stand-in/edits'), join(folder, 'data/edits/pv-grub'), { recursive: true });
  mkdirSync(join(folder, 'data/edits/pvgrub2'), { recursive: true });
  cpSync(join(root, 'loaders'), join(folder, 'data/loaders'), { recursive: true });
  writeFileSync(join(folder, 'data/loaders/pv-grub/newlib-members.txt'), standIn.data.pvGrub.members);
  writeFileSync(join(folder, 'matrix.config.json'), JSON.stringify({ loaders: { 'pv-grub': { versions: ['4.2.5'] } } }));
  const env = { PVGRUB_DATA: join(folder, 'data'), PVGRUB_STORE: join(folder, 'store'), XDG_CACHE_HOME: join(folder, 'cache') };
  return {
    folder,
    standIn,
    call: (args, more = {}) => pvgrub(args, { cwd: folder, env: { ...env, ...more } }),
    origins: (names = ['xen', 'newlib', 'zlib', 'pciutils', 'grub']) =>
      names.flatMap((name) => ['--origin', `${name}=dir:${standIn.folder}`]),
    remove: () => {
      standIn.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
