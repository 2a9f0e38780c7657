import { cleanItems, type Item } from '../clean/items.ts';
import { setupItems } from '../clean/setup-item.ts';
import { formatBytes } from '../config/units.ts';
import type { Engine } from '../engine/engine.ts';
import { findEngine } from '../engine/find/find.ts';
import { runningOn } from '../engine/labels.ts';
import { errorText, exitCode, UsageError } from '../errors.ts';
import { table } from '../report/table.ts';
import { privateUsers } from '../setup/private-engine.ts';
import { daemons, ourProcesses } from '../util/processes.ts';
import { type CommonOptions, print, printJson, settingsOf } from './context.ts';

const KINDS: readonly Item['kind'][] = ['leftovers', 'kept', 'cache', 'images', 'store', 'setup'];

/** `pvgrub clean`: show what can be freed, or free what is named. */
export async function cleanCommand(what: string[], options: CommonOptions & { json?: boolean }): Promise<void> {
  const wrong = what.find((name) => name !== 'all' && !KINDS.includes(name as Item['kind']));
  if (wrong !== undefined) throw new UsageError('OPTION_INVALID', `clean ${wrong}`, { expected: `${KINDS.join(', ')}, or all` });
  const chosen = new Set<string>(what.includes('all') ? [...what, ...KINDS.filter((kind) => kind !== 'setup')] : what);
  const settings = await settingsOf(options);
  const engines: Engine[] = [];
  for (const { address } of settings.engines)
    await findEngine(address).then(
      (engine) => engines.push(engine),
      (error: unknown) => {
        // One that is named is meant; of those that are only looked for there may be none.
        if (address === 'auto' || address === 'private')
          process.stderr.write('no engine answers: only what is on this machine is looked at\n');
        else {
          process.stderr.write(`pvgrub: ${errorText(error)}\n`);
          process.exitCode = exitCode(error);
        }
      },
    );
  const runs = await Promise.all([privateUsers(), ourProcesses([settings.store, settings.cache]), ...engines.map(runningOn)]);
  const running = runs.reduce((sum, count) => sum + count, 0);
  const items = [
    ...(await cleanItems({ settings, engines, running: running > 0 ? 'a run is using it' : undefined })),
    ...(await setupItems(running > 0 ? 'a run is using it' : (await daemons()) > 0 ? 'a dockerd runs; stop it first' : undefined)),
  ];
  const results = new Map<Item, string>();
  for (const item of items) if (chosen.has(item.kind)) results.set(item, await freed(item));
  if (options.json)
    return printJson(
      items.map((item) => ({
        kind: item.kind,
        what: item.what,
        bytes: item.bytes ?? null,
        inUse: item.inUse ?? null,
        result: results.get(item) ?? null,
      })),
    );
  if (items.length === 0) return print('there is nothing to free');
  const size = ({ bytes }: Item) => (bytes === undefined ? '' : formatBytes(bytes));
  if (chosen.size === 0) {
    print(
      table(
        ['name', 'size>', 'what'],
        items.map((item) => [item.kind, size(item), `${item.what}${item.inUse === undefined ? '' : ` (in use: ${item.inUse})`}`]),
      ),
    );
    return print(`\nNothing is removed yet: name what shall go, such as pvgrub clean ${[...new Set(items.map(({ kind }) => kind))][0]}`);
  }
  if (results.size === 0) return print(`there is nothing of ${[...chosen].join(', ')} to free`);
  print(
    table(
      ['name', 'size>', 'what', 'result'],
      [...results].map(([item, result]) => [item.kind, size(item), item.what, result]),
    ),
  );
}

async function freed(item: Item): Promise<string> {
  if (item.inUse !== undefined) return `left alone: ${item.inUse}`;
  const problem = await item.free().catch((error: Error) => error.message);
  if (problem === undefined) return 'removed';
  process.exitCode = 1;
  return `not removed: ${problem}`;
}
