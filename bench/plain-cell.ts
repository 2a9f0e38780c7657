import { createHash } from 'node:crypto';
import { buildEnvironment, buildScript } from '../src/build/scripts.ts';
import { editedTree, treeInputs } from '../src/build/tree.ts';
import { getFiles, type PutFile, putFiles } from '../src/engine/archive.ts';
import type { BuildImage } from '../src/engine/build-image.ts';
import { runContainer } from '../src/engine/container.ts';
import type { Engine } from '../src/engine/engine.ts';
import type { Held, Shelf } from '../src/engine/shelf.ts';
import { Workspace } from '../src/engine/workspace.ts';
import type { Cell } from '../src/plan/plan.ts';
import type { Recipe, Step } from '../src/recipes/types.ts';
import type { StoredSource } from '../src/sources/store.ts';

type Reads = Held['reads'];

interface Surroundings {
  labels: Record<string, string>;
  limits: { memory: number; pids: number };
  shelf: Shelf;
}

/** The plain way's steps: what must be done before, upstream's own target for the whole loader, and the image. */
function plainSteps({ steps }: Recipe): Step[] {
  return steps
    .filter(({ toolchain }) => !toolchain)
    .map((step) => ({ ...step, run: step.run.replace('EMBEDDED_EXTRA_CFLAGS=-pipe ', 'EMBEDDED_EXTRA_CFLAGS=') }));
}

/** One cell built the plain way: a container that unpacks, lays the edited files over, and calls make. */
export class PlainCell {
  private readonly start: (workspace: Workspace, jobs: number) => ReturnType<Workspace['container']>;
  private readonly engine: Engine;
  private readonly labels: Record<string, string>;
  private readonly files: PutFile[];
  private readonly image: string;

  private constructor(engine: Engine, image: BuildImage, cell: Cell, files: PutFile[], reads: Reads, { labels, limits }: Surroundings) {
    this.engine = engine;
    this.labels = labels;
    this.files = files;
    this.image = cell.recipe.outputs.find(({ role }) => role === 'image')?.file ?? '';
    this.start = (workspace, jobs) =>
      workspace.container({
        image: image.id,
        command: ['sh', '/cell/in/plain.sh'],
        env: { ...buildEnvironment(cell.recipe), JOBS: String(jobs) },
        reads,
        labels,
        limits,
      });
  }

  /** Everything that a loop would have made beforehand: tarballs, edited files, the script. */
  static async prepare(
    engine: Engine,
    image: BuildImage,
    cell: Cell,
    sources: ReadonlyMap<string, StoredSource>,
    around: Surroundings,
  ): Promise<PlainCell> {
    const workspace = await Workspace.create(engine, around.labels);
    try {
      // Whole packages.
      const placements = cell.recipe.placements.map(({ without, ...placement }) => placement);
      const inputs = treeInputs({ ...cell.recipe, placements }, sources);
      // The bench's own end takes it off the shelf.
      const { reads } = await around.shelf.hold(inputs.shelf);
      const unpack = await workspace.container({
        image: image.id,
        command: ['sh', '/cell/in/unpack.sh'],
        env: { ...buildEnvironment(cell.recipe), JOBS: '1' },
        reads,
        labels: around.labels,
        limits: around.limits,
      });
      await putFiles(unpack, '/cell', inputs.files);
      await runContainer(unpack, { onOutput: () => {}, timeoutMs: 600_000 });
      const edited = (await editedTree(unpack, cell.recipe)).map((file) => ({ ...file, name: `in/edited/${file.name}` }));
      const script = `sh /cell/in/unpack.sh\ncp -R /cell/in/edited/. /cell/src\n${buildScript(plainSteps(cell.recipe))}`;
      const files = [...inputs.files, ...edited, { name: 'in/plain.sh', content: Buffer.from(script) }];
      return new PlainCell(engine, image, cell, files, reads, around);
    } finally {
      await workspace.remove(() => {});
    }
  }

  /** Build. Timed from the container's creation to its end: bringing the tarballs in and the image out do not count. */
  async build(jobs: number): Promise<{ seconds: number; sha256: string }> {
    const workspace = await Workspace.create(this.engine, this.labels);
    try {
      // The files go in through a container of their own.
      await putFiles(await this.start(workspace, jobs), '/cell', this.files);
      const from = performance.now();
      const container = await this.start(workspace, jobs);
      const tail: string[] = [];
      const { exitCode } = await runContainer(container, {
        onOutput: ({ data }) => {
          tail.push(data.toString());
          if (tail.length > 50) tail.shift();
        },
        timeoutMs: 3_600_000,
      });
      const seconds = (performance.now() - from) / 1000;
      if (exitCode !== 0) throw new Error(`the plain way ended with ${exitCode}:\n${tail.join('')}`);
      const hash = createHash('sha256');
      await getFiles(container, `/cell/out/${this.image}`, async (_file, content) => {
        for await (const chunk of content) hash.update(chunk as Buffer);
      });
      return { seconds, sha256: hash.digest('hex') };
    } finally {
      await workspace.remove(() => {});
    }
  }
}
