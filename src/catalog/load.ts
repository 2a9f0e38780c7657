import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../errors.ts';
import type { Catalog } from './types.ts';

/** The folder that holds `src/` and the default configuration as they run: the repository, or `dist/` of the package. */
export const codeRoot: string = fileURLToPath(new URL('../../', import.meta.url));

/** The folder that holds `catalog/`, `edits/`, `loaders/` and the Dockerfiles. */
export const productRoot: string = codeRoot.endsWith('/dist/') ? join(codeRoot, '..') : codeRoot;

/** The product's version. */
export const VERSION = (JSON.parse(readFileSync(join(productRoot, 'package.json'), 'utf8')) as { version: string }).version;

/**
 * Read the catalog's JSON files from a folder.
 * @param folder a folder with xen.json, mini-os.json, externals.json, reads.json, grub2.json and licences.json
 * @throws UsageError CATALOG_INVALID where a file is missing or is not JSON
 */
export function loadCatalog(folder: string = join(productRoot, 'catalog')): Catalog {
  const read = <T>(name: string): T => {
    const path = join(folder, name);
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as T;
    } catch (error) {
      throw new UsageError('CATALOG_INVALID', `the catalog's ${name} cannot be read: ${(error as Error).message}`, {
        hint: 'restore it from the release of pvgrub-forge that you use',
        cause: error,
      });
    }
  };
  const [xen, miniOs] = [read<Catalog['xen']>('xen.json'), read<Catalog['miniOs']>('mini-os.json')];
  const { externals, mirrors } = read<Pick<Catalog, 'externals' | 'mirrors'>>('externals.json');
  return {
    xen,
    miniOs,
    externals,
    ...(mirrors ? { mirrors } : {}),
    reads: read('reads.json'),
    grub2: read('grub2.json'),
    licences: read('licences.json'),
  };
}
