import type { ErrorData } from '../errors.ts';

/** What is told of an image that is in its place. */
export interface ImageTold {
  image: string;
  sha256: string;
  size: number;
  unpinned: string[];
  /** How many cases it booted with, and in which Xen; where it was booted. */
  boot?: { cases: number; hypervisor: string };
}

/** What happens during a run: the renderers, the journal and later reports only listen to this. */
export type Event =
  | { type: 'run-started'; run: string; cells: string[]; engines: string[]; cores: number; side: number; expected?: Record<string, number> }
  | { type: 'note'; text: string }
  | { type: 'warning'; text: string }
  | { type: 'source-started'; source: string; origin: string }
  | { type: 'source-progress'; source: string; done: number; total: number | undefined }
  | { type: 'source-done'; source: string; sha256: string; size: number; cached: boolean; proof: string | undefined; origin: string }
  | { type: 'source-failed'; source: string; error: ErrorData }
  | { type: 'engine-lost'; engine: string; left: number }
  | { type: 'cell-started'; cell: string; jobs: number; engine?: string }
  | { type: 'cell-returned'; cell: string; engine: string }
  | { type: 'cell-phase'; cell: string; phase: string }
  | { type: 'boot-case'; image: string; case: string; ok: boolean; said: string; menu: number | undefined; guest: number | undefined }
  | ({ type: 'cell-done'; cell: string; ms: number } & ImageTold)
  | ({ type: 'cell-cached'; cell: string } & ImageTold)
  | { type: 'cell-reproduced'; cell: string; sha256: string; size: number; ms: number; unpinned: string[] }
  | { type: 'cell-failed'; cell: string; error: ErrorData; exit: number; ms: number; log: string | undefined }
  | {
      type: 'run-finished';
      run: string;
      ms: number;
      /** Since the first cell was started: time, and processor time of this process. */
      building?: { ms: number; cpuMs: number };
      done: number;
      cached: number;
      failed: number;
      exit: number;
    };

/** Whoever is told events. */
export type Listener = (event: Event) => void;
