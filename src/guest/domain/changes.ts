/** A change of a text: what stands from `start` to `end` becomes `text`. */
export interface Change {
  start: number;
  end: number;
  text: string;
}

/** Apply changes that do not overlap; those at one place in their order. */
export function changed(text: string, changes: readonly Change[]): string {
  let result = '';
  let at = 0;
  for (const { start, end, text: put } of changes.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    result += text.slice(at, start) + put;
    at = end;
  }
  return result + text.slice(at);
}
