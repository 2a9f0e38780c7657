import type { ErrorData } from '../errors.ts';

/** What happens during a run: the renderers, the journal and later reports only listen to this. */
export type Event =
  | { type: 'run-started'; run: string; cells: string[]; engine: string; cores: number; side: number; expected?: Record<string, number> }
  | { type: 'note'; text: string }
  | { type: 'warning'; text: string }
  | { type: 'source-started'; source: string; origin: string }
  | { type: 'source-progress'; source: string; done: number; total: number | undefined }
  | { type: 'source-done'; source: string; sha256: string; size: number; cached: boolean; proof: string | undefined; origin: string }
  | { type: 'source-failed'; source: string; error: ErrorData }
  | { type: 'cell-started'; cell: string; jobs: number }
  | { type: 'cell-phase'; cell: string; phase: string }
  | { type: 'boot-case'; image: string; case: string; ok: boolean; said: string; menu: number | undefined; guest: number | undefined }
  | { type: 'cell-done'; cell: string; image: string; sha256: string; size: number; ms: number; unpinned: string[] }
  | { type: 'cell-cached'; cell: string; image: string; sha256: string; size: number; unpinned: string[] }
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
