import type { Metadata } from '../src/build/metadata.ts';
import { seriesOf } from '../src/catalog/version.ts';
import type { Cell } from '../src/plan/plan.ts';
import { type Blame, blameText, weightier } from '../src/reproduce/report.ts';

/** What was seen to build, boot and come about again, as data (docs/status.json) and as a page (docs/status.md). Pure. */

/** What is on record of a cell. */
export interface CellStatus {
  /** Day of the build, ISO 8601. */
  built: string;
  inputHash: string;
  size: number;
  sha256: string;
  /** From start to end, the boot included where there was one. */
  seconds: number;
  /** The cell that made its toolchain, itself or an earlier one; absent for what has none, or was made with no cache. */
  toolchainFrom?: string;
  /** Sources that nothing proved. */
  unproved: string[];
  /** The Mini-OS that was taken, where that of the release is not known: a commit of upstream's, or words for what was changed in it. */
  miniOs?: string;
  /**
   * How this very image booted; absent where it was not tried. `cases`: those in which a guest came up; `refused`: what
   * this loader is known not to read, and did not; `failed`: the others.
   */
  boot?: { ok: boolean; hypervisor: string; cases: string[]; refused: string[]; failed: string[] };
  /** Whether this very image came about again under these variations; absent where it was not tried. */
  reproduced?: { ok: boolean; variations: string[]; unvaried?: Blame['unvaried']; blame?: string[] };
}

/** By cell id, in the order of the matrix. */
export type Status = Record<string, CellStatus>;

/**
 * A cell's record, from the metadata of its image.
 * @param words what the unproved Mini-OS was, where its commit is nobody's but the operator's own
 */
export function statusOf({ build, inputHash, image, sources, boot, reproduced }: Metadata, words?: string): CellStatus {
  const from = build.toolchain?.from;
  const unproved = sources.filter(({ proof }) => proof === null);
  const taken = unproved.find(({ name }) => name === 'mini-os');
  const miniOs = taken && (words ?? taken.commit);
  const named = (holds: (one: NonNullable<Metadata['boot']>['cases'][number]) => boolean) =>
    (boot?.cases ?? []).filter(holds).map(({ name }) => name);
  const came = named((one) => one.ok && one.guestSeconds !== undefined);
  const refused = named((one) => one.ok && one.guestSeconds === undefined);
  return {
    built: build.started.slice(0, 10),
    inputHash,
    size: image.size,
    sha256: image.sha256,
    seconds: build.seconds,
    ...(from === undefined ? {} : { toolchainFrom: from }),
    unproved: unproved.map(({ name }) => name),
    ...(miniOs ? { miniOs } : {}),
    ...(boot ? { boot: { ok: boot.ok, hypervisor: boot.hypervisor, cases: came, refused, failed: named((one) => !one.ok) } } : {}),
    ...(reproduced ? { reproduced: reproductionOf(reproduced) } : {}),
  };
}

function reproductionOf({ ok, variations, unvaried, blame }: NonNullable<Metadata['reproduced']>): NonNullable<CellStatus['reproduced']> {
  return { ok, variations, ...(unvaried ? { unvaried } : {}), ...(blame ? { blame } : {}) };
}

/**
 * Add what a run has shown. A later record of a cell replaces an earlier one, but for a boot and a reproduction of the same
 * image that the later run did not try.
 * @returns the new status in the order of `cells`, and cells that gave another image from the same inputs: a fault, and
 *   their earlier record stays
 */
export function addStatus(
  before: Status,
  shown: Status,
  cells: readonly Pick<Cell, 'id'>[],
): { status: Status; differing: { id: string; was: string; is: string }[] } {
  const differing: { id: string; was: string; is: string }[] = [];
  const status: Status = {};
  for (const { id } of cells) {
    const was = before[id];
    let is = shown[id];
    if (was && is && was.inputHash === is.inputHash && was.sha256 !== is.sha256) {
      differing.push({ id, was: was.sha256, is: is.sha256 });
      is = undefined;
    }
    const same = is && was?.sha256 === is.sha256 ? was : undefined;
    const boot = is?.boot ?? same?.boot;
    const reproduced = is?.reproduced ? weightier(same?.reproduced, is.reproduced) : same?.reproduced;
    const now = is ? { ...is, ...(boot ? { boot } : {}), ...(reproduced ? { reproduced } : {}) } : was;
    if (now) status[id] = now;
  }
  return { status, differing };
}

function row({ id, version, arch }: Cell, status: CellStatus | undefined, wanting: boolean): string[] {
  const name = wanting ? `${version} †` : version;
  if (!status) return [name, arch, wanting ? 'no' : 'not yet', '', '', '', '', '', ''];
  const { boot, reproduced, unproved, miniOs = '' } = status;
  const booted = boot === undefined ? 'not tried' : boot.ok ? boot.cases.join(', ') : `**fails**: ${boot.failed.join(', ')}`;
  const again = reproduced === undefined ? 'not tried' : reproduced.ok ? 'yes' : `**no**: ${blameText(reproduced)}`;
  const taken = unproved.map((source) => (source === 'mini-os' ? `mini-os ${miniOs.replace(/^([0-9a-f]{12})[0-9a-f]+$/, '$1')}` : source));
  const time = status.toolchainFrom === id ? `${status.seconds} *` : `${status.seconds}`;
  return [name, arch, status.built, booted, again, `\`${status.sha256}\``, String(status.size), time, taken.join(', ')];
}

/** The data as a file: a cell a line, so that a change shows as the cells that it concerns. */
export function statusText(status: Status): string {
  const lines = Object.entries(status).map(([id, cell]) => `  ${JSON.stringify(id)}: ${JSON.stringify(cell)}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

/**
 * The page. A cell that a source is wanting for is listed with the reason, and what stood in for it.
 * @param wanting by cell id: why it cannot be built from pinned sources; what was built instead is marked
 */
export function statusPage(cells: readonly Cell[], status: Status, wanting: ReadonlyMap<string, string>): string {
  const known = cells.flatMap(({ id }) => status[id] ?? []);
  const booted = known.filter(({ boot }) => boot?.ok).length;
  const same = known.filter(({ reproduced }) => reproduced?.ok);
  // Those that hold for all of them.
  const [first = [], ...others] = same.map(({ reproduced }) => reproduced?.variations ?? []);
  const variations = first.filter((name) => others.every((list) => list.includes(name)));
  const xens = [...new Set(known.flatMap(({ boot }) => boot?.hypervisor ?? []))];
  const lines = [
    '# What was seen to build, to boot, and to come about again',
    '',
    'Written by `node scripts/status.ts <artifacts>…` from the metadata of real runs; the data is in `status.json`.',
    '',
    `Of ${cells.length} cells ${known.length} were built, and ${booted} of these images booted${xens.length > 0 ? ` (${xens.join('; ')})` : ''}.`,
    `${same.length} ${same.length === 1 ? 'was' : 'were'} built again, bit for bit${variations.length > 0 ? `, with these varied at once: ${variations.join(', ')} ([reproduce.md](reproduce.md))` : ''}.`,
    'Seconds are from start to end of a cell, its boots included and others beside it; those marked * include a toolchain',
    'of its own. "Unproved" are sources that no pin proved in that run. Boot cases are those of [boot.md](boot.md).',
    '',
  ];
  for (const [name, group] of Map.groupBy(cells, (cell) => `${cell.loader} ${seriesOf(cell.version)}`)) {
    lines.push(
      `## ${name}`,
      '',
      '| version | width | built | booted | reproduced | SHA-256 | bytes | seconds | unproved |',
      '|---|---|---|---|---|---|---|---|---|',
    );
    for (const cell of group) lines.push(`| ${row(cell, status[cell.id], wanting.has(cell.id)).join(' | ')} |`);
    lines.push('');
    const reasons = new Set(group.flatMap((cell) => wanting.get(cell.id) ?? []));
    for (const reason of reasons) lines.push(`† ${reason}.`, '');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}
