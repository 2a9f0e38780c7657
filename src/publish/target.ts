import type { PublicationIndex } from './index-file.ts';
import type { Prepared } from './prepare.ts';

/** A place that is published to. */
export interface Target {
  readonly name: string;
  /** Keep others from publishing there. @returns what lets them again */
  lock(): Promise<() => Promise<void>>;
  /** Put an image's files there, whole; no reader sees it before `commit`. @returns whether anything was written */
  putImage(prepared: Prepared): Promise<boolean>;
  /** Replace what stands at the top, in this order, the index last. @returns whether anything was written */
  commit(views: ReadonlyMap<string, Uint8Array>): Promise<boolean>;
  /**
   * Take away what no reader needs any more: all that neither this index nor the one before it names.
   * @param sha256 of the index
   * @param withdrawn ids that it no longer has
   */
  tidy(index: PublicationIndex, sha256: string, withdrawn: readonly string[]): Promise<void>;
}
