import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cellFolder, isWhole, readMetadata } from '../build/artifacts.ts';
import { type JournalEntry, lastOutcomes } from '../build/journal.ts';
import type { Metadata } from '../build/metadata.ts';
import type { SourceRef } from '../catalog/types.ts';
import { seriesOf } from '../catalog/version.ts';
import { positiveInteger } from '../config/settings.ts';
import { formatBytes } from '../config/units.ts';
import { buildDockerfile, lastManifest, type Manifest, manifestDigest } from '../engine/manifest.ts';
import { UsageError } from '../errors.ts';
import { changedInputs } from '../plan/changes.ts';
import { inputHash } from '../plan/input-hash.ts';
import { githubMatrix, gitlabPipeline, jobsOf, MOST_JOBS } from '../plan/jobs.ts';
import type { Cell } from '../plan/plan.ts';
import { table } from '../report/table.ts';
import { isTrusted } from '../sources/pins.ts';
import { Store, type StoredSource } from '../sources/store.ts';
import { ifThere } from '../util/files.ts';
import { sha256 } from '../util/hash.ts';
import { type CommonOptions, planned, print, printJson } from './context.ts';
import { seriesTable, supportText } from './matrix-series.ts';

interface Status {
  cell: Cell;
  hash: string | undefined;
  built: Metadata | undefined;
  inStore: Map<string, boolean>;
  why: string;
  /** What differs from the inputs of the result that is there. */
  changes: string[];
}

/** What all cells are looked at with. */
interface Surroundings {
  output: string;
  /** What the store has of a source. */
  find: (ref: SourceRef) => Promise<StoredSource | undefined>;
  /** Whether it is taken although nothing proves it. */
  trusts: (ref: SourceRef) => boolean;
  manifest: Manifest | undefined;
  /** Digest of the manifest; empty where there is none. */
  digest: string;
  outcomes: ReadonlyMap<string, JournalEntry>;
  /** Read each image, too: else its size and its metadata are believed. */
  thorough: boolean;
}

/** Whether a result's image is there: the very one, or in a hurry one of its size. */
async function hasImage(folder: string, { image }: Metadata, thorough: boolean): Promise<boolean> {
  if (thorough) return isWhole(folder, image);
  return (await ifThere(stat(join(folder, image.file))))?.size === image.size;
}

/** What is known of a cell without building it, or opening a connection. */
async function statusOf(cell: Cell, context: Surroundings): Promise<Status> {
  const { manifest } = context;
  const outcome = context.outcomes.get(cell.id);
  const inStore = new Map<string, boolean>();
  const unpinned: Record<string, string> = {};
  const orphans: string[] = [];
  for (const ref of cell.recipe.sources) {
    const stored = await context.find(ref);
    inStore.set(ref.name, stored !== undefined);
    if (stored?.proof === undefined && stored) unpinned[ref.name] = stored.record.sha256;
    if (Object.keys(ref.pins).length === 0 && !stored && !context.trusts(ref)) orphans.push(ref.name);
  }
  const hash = manifest === undefined ? undefined : inputHash(cell.recipe, context.digest, unpinned);
  const folder = cellFolder(context.output, cell);
  const earlier = manifest && (await readMetadata(folder));
  const built = earlier?.inputHash === hash && earlier && (await hasImage(folder, earlier, context.thorough)) ? earlier : undefined;
  const changes = earlier && manifest && !built ? changedInputs(earlier, cell.recipe, manifest, unpinned) : [];
  const missing = [...inStore].filter(([, there]) => !there).map(([name]) => name);
  const why = built
    ? 'built'
    : orphans.length > 0
      ? `no pin is known for ${orphans.join(', ')}: needs --trust`
      : outcome?.state === 'failed'
        ? `failed last time: ${outcome.message?.split('\n')[0] ?? outcome.code}`
        : outcome?.state === 'started'
          ? 'was being built when the last run ended'
          : manifest === undefined
            ? 'not built (no build image yet)'
            : changes.length > 0 || (earlier && earlier.inputHash !== hash)
              ? 'its inputs have changed since it was built'
              : earlier
                ? 'its image is not the one that was built'
                : missing.length > 0
                  ? `not built; ${missing.length} of ${inStore.size} sources to fetch`
                  : 'not built';
  return { cell, hash, built, inStore, why, changes };
}

const pinText = ({ pins }: SourceRef) =>
  pins.sha256
    ? `sha256 ${pins.sha256.slice(0, 12)}…`
    : pins.sha512
      ? `sha512 ${pins.sha512.slice(0, 12)}…`
      : pins.commit
        ? `commit ${pins.commit.slice(0, 12)}`
        : 'no pin';

/** Look each source up once, whichever cells have it. */
function finder(store: Store, trust: string[]): Surroundings['find'] {
  const asked = new Map<string, Promise<StoredSource | undefined>>();
  return (ref) => {
    const key = `${ref.name}@${ref.version}`;
    const answer = asked.get(key) ?? store.find(ref, isTrusted(ref, trust));
    asked.set(key, answer);
    return answer;
  };
}

/** `pvgrub matrix`: the series, or the cells that selectors choose: what they are made of, and whether they are there. */
export async function matrixCommand(
  selectors: string[],
  options: CommonOptions & { format: string; why?: boolean; parts?: string },
): Promise<void> {
  const { settings, cells, catalog } = await planned(selectors, options, 'all');
  if (options.format === 'github' || options.format === 'gitlab') return jobsCommand(cells, options.format, options.parts);
  if (options.parts !== undefined)
    throw new UsageError('OPTION_INVALID', '--parts is for the jobs of a CI service', { expected: '--format github or gitlab' });
  const today = new Date().toISOString().slice(0, 10);
  const manifest = await lastManifest(settings);
  const overview = selectors.length === 0 && !options.why && options.format === 'table';
  const surroundings: Surroundings = {
    output: settings.output,
    find: finder(new Store(settings.store), settings.trust),
    trusts: (ref) => isTrusted(ref, settings.trust),
    manifest,
    digest: manifest ? manifestDigest(manifest) : '',
    outcomes: await lastOutcomes(settings.output),
    thorough: !overview,
  };
  const states = await Promise.all(cells.map((cell) => statusOf(cell, surroundings)));
  if (options.format === 'json') {
    printJson(
      states.map(({ cell, hash, built, inStore, why, changes }) => ({
        id: cell.id,
        loader: cell.loader,
        version: cell.version,
        arch: cell.arch,
        series: seriesOf(cell.version),
        support: supportText(catalog, cell, today),
        inputHash: hash ?? null,
        built: built !== undefined,
        ...(built ? { image: built.image } : {}),
        why,
        changes,
        sources: cell.recipe.sources.map((ref) => ({
          name: ref.name,
          version: ref.version,
          pins: ref.pins,
          inStore: inStore.get(ref.name) ?? false,
        })),
        edits: cell.recipe.edits.map((edit) => edit.id),
        warnings: cell.recipe.warnings,
      })),
    );
    return;
  }
  if (overview) {
    print(seriesTable(states, catalog, today));
    print(
      `\n${cells.length} cells; 'pvgrub matrix <selector>' shows them: ${cells[0]?.loader ?? 'pv-grub'}-${seriesOf(cells[0]?.version ?? '4.17')}, '*'`,
    );
    return;
  }
  if (!options.why) {
    print(
      table(
        ['cell', 'sources', 'edits>', 'state'],
        states.map(({ cell, built, why }) => [
          cell.id,
          cell.recipe.sources.map((ref) => ref.name).join(' '),
          String(cell.recipe.edits.length),
          built ? `built, ${formatBytes(built.image.size)}` : why,
        ]),
      ),
    );
    return;
  }
  for (const { cell, hash, built, inStore, why, changes } of states) {
    print(cell.id);
    print(`  state    ${why}${built ? `, ${formatBytes(built.image.size)}, sha256 ${built.image.sha256}` : ''}`);
    for (const change of changes) print(`  changed  ${change}`);
    print(`  inputs   ${hash ?? 'not known before there is a build image'}`);
    for (const ref of cell.recipe.sources)
      print(`  source   ${ref.name} ${ref.version}  ${ref.file}  ${pinText(ref)}  ${inStore.get(ref.name) ? 'in the store' : 'to fetch'}`);
    for (const edit of cell.recipe.edits) print(`  edit     ${edit.id}: ${edit.what}`);
    for (const warning of cell.recipe.warnings) print(`  warning  ${warning}`);
  }
}

/** `pvgrub matrix --format github|gitlab` */
async function jobsCommand(cells: readonly Cell[], format: 'github' | 'gitlab', parts: string | undefined): Promise<void> {
  // An empty list of jobs would break the workflow in a way that tells nobody why.
  if (cells.length === 0)
    throw new UsageError('SELECTOR_NO_MATCH', 'the matrix is empty: there is nothing to make jobs of', {
      hint: 'loaders, include and exclude of the configuration choose its cells; pvgrub matrix shows them',
    });
  const count = parts === undefined ? MOST_JOBS : positiveInteger(parts, '--parts');
  if (count > MOST_JOBS) throw new UsageError('OPTION_INVALID', `--parts is ${count}`, { expected: `${MOST_JOBS} at the most` });
  const jobs = jobsOf(cells, count, sha256(await buildDockerfile()));
  if (format === 'github') return print(JSON.stringify(githubMatrix(jobs)));
  const { dump } = await import('js-yaml');
  process.stdout.write(dump(gitlabPipeline(jobs), { lineWidth: -1, noRefs: true }));
}
