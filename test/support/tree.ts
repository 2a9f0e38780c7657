import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** What is below a folder, by path: kind, permission to execute, and content or target. */
export function treeOf(folder: string, below = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(folder, below)).sort()) {
    const path = below === '' ? name : `${below}/${name}`;
    const stat = lstatSync(join(folder, path));
    if (stat.isSymbolicLink()) found[path] = `-> ${readlinkSync(join(folder, path))}`;
    else if (stat.isDirectory()) Object.assign(found, { [path]: 'folder' }, treeOf(folder, path));
    else found[path] = `${stat.mode & 0o100 ? 'x' : '-'} ${readFileSync(join(folder, path)).toString('base64')}`;
  }
  return found;
}
