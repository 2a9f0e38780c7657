/** The library's door. */

export { type BootImage, ensureBootImage } from './boot/boot-image.ts';
export { type BootContext, bootImages } from './boot/run.ts';
export { cellSubject, fileSubject } from './boot/subject.ts';
export type { BootCase, BootReport, BootSubject, CaseResult } from './boot/types.ts';
export type { Metadata } from './build/metadata.ts';
export { type RunContext, type RunResult, runBuild } from './build/run.ts';
export { loadCatalog } from './catalog/load.ts';
export type { Catalog, Origin, Pins, Release, SourceRef } from './catalog/types.ts';
export { compareVersions, inRange, isVersion, type VersionRange } from './catalog/version.ts';
export { type ConfigInput, defineConfig } from './config/define.ts';
export { loadConfig } from './config/load.ts';
export { type Settings, settle } from './config/settings.ts';
export type { Engine } from './engine/engine.ts';
export { findEngine } from './engine/find/find.ts';
export { EXIT, errorData, errorText, exitCode, ForgeError } from './errors.ts';
export { demandImage, type Inspection, inspectImage } from './inspect/inspect.ts';
export { inputHash } from './plan/input-hash.ts';
export { type Cell, chooseCells, type PlanData, planMatrix } from './plan/plan.ts';
export { select } from './plan/selector.ts';
export { applyEdits, loadEdits } from './recipes/edits.ts';
export type { Arch, Edit, Loader, Recipe } from './recipes/types.ts';
export type { Event, Listener } from './report/events.ts';
export { ensureSource } from './sources/fetch.ts';
export { Store } from './sources/store.ts';
