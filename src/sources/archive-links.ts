/** What one entry of a tarball cannot tell: where links lead by way of other links. Pure. */

/** Linux gives up a path after so many links (ELOOP). */
const MOST_LINKS = 40;

/** Whether following a path through the links of an archive climbs above its top folder, which is the one it is unpacked in. */
function climbsOut(path: string, links: ReadonlyMap<string, string>): boolean {
  const todo = path.split('/').reverse();
  const at: string[] = [];
  let followed = 0;
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (at.length <= 1) return true;
      at.pop();
      continue;
    }
    at.push(part);
    const target = links.get(at.join('/'));
    if (target === undefined) continue;
    if (++followed > MOST_LINKS) return false;
    at.pop();
    todo.push(...target.split('/').reverse());
  }
  return false;
}

/**
 * Why an archive must not be unpacked although each of its entries may; undefined where it may.
 * @param names normalized names of all entries
 * @param links normalized names of the symbolic links, with their targets
 */
export function unsafeLinks(names: Iterable<string>, links: ReadonlyMap<string, string>): string | undefined {
  if (links.size === 0) return undefined;
  for (const [name, target] of links) {
    if (climbsOut(name, links)) return `a link that leaves the tree by way of another: ${name} -> ${target}`;
  }
  for (const name of names) {
    for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
      if (links.has(name.slice(0, slash))) return `an entry below a symbolic link: ${name}`;
    }
  }
  return undefined;
}
