// A run of its own process, for a test to kill: node slow-run.ts <output> <store> <folder with the stand-in's tarballs>
import { runBuild } from '../../src/build/run.ts';
import { settle } from '../../src/config/settings.ts';
import { testEngine } from './run-stand-in.ts';
import { makeStandIn } from './stand-in.ts';

const [output, store, folder] = process.argv.slice(2) as [string, string, string];
const standIn = makeStandIn();
const cells = standIn
  .cells()
  .map((cell) => ({ ...cell, recipe: { ...cell.recipe, steps: [{ phase: 'wait', run: 'sleep 300' }, ...cell.recipe.steps] } }));
standIn.remove();
const names = ['xen', 'newlib', 'zlib', 'pciutils', 'grub'];
const settings = settle({
  config: {},
  overrides: { output, store, cache: `${store}.cache`, origins: names.map((name) => `${name}=dir:${folder}`) },
  env: process.env,
  cwd: process.cwd(),
});
await runBuild(cells, {
  engines: [{ engine: await testEngine(), cores: 2, cells: 2 }],
  settings,
  cwd: process.cwd(),
  emit: (event) => {
    if (event.type === 'cell-phase') process.stdout.write(`${event.phase}\n`);
  },
  signal: new AbortController().signal,
  force: false,
  debug: false,
});
