import type { PutFile } from '../engine/archive.ts';
import { CELL } from '../engine/container.ts';

/** What a build has around it and must not depend on: usual values for every build, others to prove that (src/reproduce). */
export interface Surroundings {
  /** What the container believes its machine to be called. */
  host: string;
  /** Where the cell's volume is in its containers. */
  place: string;
  /** User and group id that builds; undefined: those of the build image. */
  user?: number;
  /** Mask of file modes, octal. */
  umask: string;
  /** The tree's files in another order than they were unpacked in. Takes effect where cells are built in memory. */
  reversed: boolean;
  /** Environment on top of the recipe's. */
  env: Record<string, string>;
}

/** The surroundings of every build that is not told otherwise. */
export const USUAL: Surroundings = { host: 'forge', place: CELL, umask: '022', reversed: false, env: {} };

/** A text of ours, a script or a variable, for containers that have the volume elsewhere. */
export function placed(text: string, place: string): string {
  return place === CELL ? text : text.replaceAll(new RegExp(`${CELL}(?![\\w.-])`, 'g'), place);
}

/** The same for files of ours that are to be put there. */
export function placedFiles(files: readonly PutFile[], place: string): PutFile[] {
  return files.map((file) =>
    file.content instanceof Uint8Array && place !== CELL
      ? { ...file, content: Buffer.from(placed(Buffer.from(file.content).toString('latin1'), place), 'latin1') }
      : file,
  );
}
