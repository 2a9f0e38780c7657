/** `npm run bench -- NAME …`: measures a part of the product beside the plain way, in one run. */
const [name = '', ...args] = process.argv.slice(2);
const benches: Record<string, () => Promise<{ run: (args: string[]) => Promise<void> }>> = {
  boot: () => import('./boot.ts'),
  cells: () => import('./cells.ts'),
  nothing: () => import('./nothing.ts'),
  publication: () => import('./publication.ts'),
  start: () => import('./start.ts'),
  verify: () => import('./verify.ts'),
};
const bench = benches[name];
if (!bench) {
  process.stderr.write(`npm run bench -- ${Object.keys(benches).join('|')} …\n`);
  process.exit(2);
}
await (await bench()).run(args);
