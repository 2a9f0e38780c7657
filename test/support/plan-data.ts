import { planData } from '../../src/cli/context.ts';
import type { PlanData } from '../../src/plan/plan.ts';

/** The product's own catalog, edits and files of its loaders, as the command line reads them. */
export function realPlanData(): PlanData {
  return planData(undefined, {});
}
