import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Container } from 'dockerode';
import { getFiles, type PutFile, readFileFrom } from '../engine/archive.ts';
import type { Cell } from '../plan/plan.ts';
import { type Listing, parseListing, parseReads, readsOf, toolchainKey } from '../plan/toolchain-key.ts';
import type { Recipe, Step, Toolchain } from '../recipes/types.ts';
import type { StoredSource } from '../sources/store.ts';
import { unpinnedOf } from './metadata.ts';
import { partsOf, recordedSteps, restoreSteps, TOOLCHAIN, TREE } from './scripts.ts';
import type { ToolchainCache } from './toolchain-cache.ts';

/** What became of a cell's toolchain: made by itself, or taken from the cell that made it. */
export interface ToolchainOutcome {
  id: string;
  from: string;
}

/** How a cell goes on once it is known what its toolchain would be made from. */
export interface Continuation {
  steps: Step[];
  /** Files that the steps need, to be put below /cell. */
  files: PutFile[];
  /** To be called when the build has ended well; gives undefined where nothing could be shared. */
  finish: (container: Container) => Promise<ToolchainOutcome | undefined>;
}

/** What the cell's probe left: see scripts.ts. Undefined where it could not be found out. */
async function probed(container: Container): Promise<{ listing: Listing; commands: string } | undefined> {
  const [listing, commands] = [await readFileFrom(container, TOOLCHAIN.listing), await readFileFrom(container, TOOLCHAIN.commands)];
  if (!listing || !commands) return undefined;
  return { listing: parseListing(listing.content.toString()), commands: commands.content.toString('latin1') };
}

/**
 * Decide how a cell gets its toolchain: from the cache where an entry fits, else by its own steps, with what they read
 * noted and what they leave put into the cache. A cache that cannot be read or written costs time, never a build.
 *
 * @param container where the probe ran
 * @param staging folder for the archive on its way
 */
export async function shareToolchain(
  cell: Cell,
  toolchain: Toolchain,
  container: Container,
  context: {
    cache: ToolchainCache;
    image: string;
    sources: ReadonlyMap<string, StoredSource>;
    staging: string;
    warn: (text: string) => void;
  },
): Promise<Continuation> {
  const { cache } = context;
  const parts = partsOf(cell.recipe.steps);
  const alone: Continuation = { steps: [...parts.toolchain, ...parts.after], files: [], finish: async () => undefined };
  const known = await probed(container);
  if (!known) return alone;
  const key = keyOf(cell.recipe, toolchain, known.commands, context);
  const from = { commands: known.commands, folder: toolchain.files };
  try {
    const hit = await cache.find(key, known.listing, from);
    if (hit) {
      const outcome = { id: hit.entry.id, from: hit.entry.cell };
      return {
        steps: [...restoreSteps(toolchain), ...parts.after],
        files: [{ name: TOOLCHAIN.archive.replace(/^\/cell\//, ''), content: { path: hit.path, size: hit.entry.archive.size } }],
        finish: async () => outcome,
      };
    }
  } catch (error) {
    context.warn(`the cache of toolchains could not be read: ${(error as Error).message}`);
  }
  const store = async (build: Container): Promise<ToolchainOutcome | undefined> => {
    const archive = join(context.staging, '.toolchain.tar.gz');
    try {
      const read = await readFileFrom(build, TOOLCHAIN.reads);
      const own = [...toolchain.keep, ...toolchain.stubs];
      const reads = read && readsOf(parseReads(read.content.toString('latin1'), TREE), known.listing, { ...from, own });
      if (!reads) return undefined;
      await getFiles(build, TOOLCHAIN.archive, (_file, content) => pipeline(content, createWriteStream(archive)));
      const entry = await cache.add(key, cell.id, reads, archive);
      return { id: entry.id, from: cell.id };
    } catch (error) {
      context.warn(`the toolchain of ${cell.id} could not be kept: ${(error as Error).message}`);
      return undefined;
    } finally {
      await rm(archive, { force: true });
    }
  };
  return { steps: [...recordedSteps(parts.toolchain, toolchain), ...parts.after], files: [], finish: store };
}

function keyOf(
  recipe: Recipe,
  toolchain: Toolchain,
  commands: string,
  { image, sources }: { image: string; sources: ReadonlyMap<string, StoredSource> },
): string {
  const tarballs = [...sources].filter(([name]) => toolchain.sources.includes(name)).map(([name, { record }]) => [name, record.sha256]);
  return toolchainKey({
    image,
    env: recipe.env,
    commands,
    steps: recipe.steps.filter((step) => step.toolchain).map((step) => step.run),
    files: recipe.files,
    tarballs: Object.fromEntries(tarballs),
    unpinned: unpinnedOf(sources),
  });
}
