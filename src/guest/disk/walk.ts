/** Following a path from folder to folder, links included, never out of the tree. Pure. */

/** Folders, files and links, however they are stored. */
export interface Tree<Node> {
  root: Node;
  kind(node: Node): 'file' | 'folder' | 'link' | 'other';
  child(folder: Node, name: string): Node | undefined;
  /** Where a link leads to. */
  target(link: Node): string;
}

/** What a path leads to, and all that a loader goes through on its way: folders, links, the file at last. */
export interface Walked<Node> {
  node: Node;
  through: Node[];
  /** Links that were followed. */
  links: number;
}

/** More are followed by no loader. */
const MAX_LINKS = 20;

/**
 * Follow an absolute path; absolute links begin at the tree's root again, as a loader sees it.
 * @returns undefined where nothing is there
 */
export function walk<Node>(tree: Tree<Node>, path: string): Walked<Node> | undefined {
  // PATH_MAX: no loader takes a longer one.
  if (path.length > 4096) return undefined;
  const parts = path.split('/').filter(Boolean);
  const above: Node[] = [];
  const through = [tree.root];
  let node = tree.root;
  let links = 0;
  for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
    if (tree.kind(node) !== 'folder') return undefined;
    if (part === '.') continue;
    if (part === '..') {
      node = above.pop() ?? node;
      continue;
    }
    const next = tree.child(node, part);
    if (next === undefined) return undefined;
    through.push(next);
    if (tree.kind(next) !== 'link') {
      above.push(node);
      node = next;
      continue;
    }
    if (++links > MAX_LINKS) return undefined;
    const target = tree.target(next);
    parts.unshift(...target.split('/').filter(Boolean));
    if (target.startsWith('/')) {
      node = tree.root;
      above.length = 0;
    }
  }
  return { node, through, links };
}
