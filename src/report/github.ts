import type { ErrorData } from '../errors.ts';
import type { Event } from './events.ts';
import { reasonOf } from './record.ts';

/**
 * Workflow commands, which a GitHub runner reads from a step's output
 * (docs.github.com, "Workflow commands for GitHub Actions"): data has %, CR and LF escaped, properties : and , as well.
 */
const data = (text: string) => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
const property = (text: string) => data(text).replace(/:/g, '%3A').replace(/,/g, '%2C');

/** The annotation for an event; undefined for most. */
export function annotation(event: Event): string | undefined {
  switch (event.type) {
    case 'cell-failed':
      return `::error title=${property(`${event.cell} failed [${event.error.code}]`)}::${data(reasonOf(event.error))}`;
    case 'engine-lost':
      return `::warning title=an engine was lost::${data(event.engine)}`;
    default:
      return undefined;
  }
}

/** The annotation for an error that ends a command before, or beside, any cell. */
export function errorAnnotation({ code, message }: ErrorData): string {
  return `::error title=${property(`pvgrub [${code}]`)}::${data(message)}`;
}
