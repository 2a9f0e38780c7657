import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCatalog, productRoot } from '../../src/catalog/load.ts';
import type { PlanData } from '../../src/plan/plan.ts';
import { loadEdits } from '../../src/recipes/edits.ts';

/** The product's own catalog, edits and first configuration, as the command line reads them. */
export function realPlanData(): PlanData {
  const edits = (loader: string) => loadEdits(join(productRoot, 'edits', loader));
  return {
    catalog: loadCatalog(),
    edits: { 'pv-grub': edits('pv-grub'), pvgrub2: edits('pvgrub2') },
    pvgrub2Config: readFileSync(join(productRoot, 'loaders/pvgrub2/grub.cfg'), 'utf8'),
  };
}
