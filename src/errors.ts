/**
 * Every error that pvgrub-forge reports on purpose.
 *
 * An error has a stable `code` (for programs), says what happened, what was expected and what to try,
 * and maps to the exit code of its class (see docs/exit-codes.md). Anything else that is thrown is a bug.
 */

/** Exit codes of the command line, one for each class of failure. */
export const EXIT = {
  ok: 0,
  someFailed: 1,
  usage: 2,
  source: 3,
  engine: 4,
  output: 5,
  verification: 6,
  notReproducible: 7,
  interrupted: 130,
} as const;

/** One of the exit codes. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What an error may say beside its message. */
export interface ErrorDetail {
  /** What was demanded, where there is such a thing. */
  expected?: string;
  /** What was there instead. */
  got?: string;
  /** What the reader can do about it. */
  hint?: string;
  cause?: unknown;
}

/** Base of all deliberate errors. `message` says what happened. */
export abstract class ForgeError extends Error {
  abstract readonly exit: ExitCode;
  readonly code: string;
  readonly expected: string | undefined;
  readonly got: string | undefined;
  readonly hint: string | undefined;

  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(message, { cause: detail.cause });
    this.name = new.target.name;
    this.code = code;
    this.expected = detail.expected;
    this.got = detail.got;
    this.hint = detail.hint;
  }
}

/** Codes of {@link UsageError}: the command line or the configuration is wrong. */
export type UsageCode =
  | 'CONFIG_INVALID'
  | 'CONFIG_UNREADABLE'
  | 'SELECTOR_NO_MATCH'
  | 'SELECTOR_INVALID'
  | 'VERSION_UNKNOWN'
  | 'OPTION_INVALID'
  | 'CATALOG_INVALID'
  | 'LOCK_INVALID'
  | 'FILE_UNREADABLE'
  | 'FILE_THERE'
  | 'DOMAIN_INVALID'
  | 'KEY_INVALID'
  | 'KEY_MISSING'
  | 'SETUP_FORBIDDEN'
  | 'SETUP_FAILED';
/** The command line, the configuration or the set-up is wrong: exit code 2. */
export class UsageError extends ForgeError {
  readonly exit = EXIT.usage;
  declare readonly code: UsageCode;
  constructor(code: UsageCode, message: string, detail?: ErrorDetail) {
    super(code, message, detail);
  }
}

/** Codes of {@link SourceError}: an input cannot be had or is not what it should be. */
export type SourceCode =
  | 'SOURCE_UNAVAILABLE'
  | 'SOURCE_MISMATCH'
  | 'SOURCE_UNPINNED'
  | 'SOURCE_TOO_LARGE'
  | 'SOURCE_OFFLINE'
  | 'SOURCE_ARCHIVE_UNSAFE'
  | 'SOURCE_ARCHIVE_BROKEN'
  | 'SIGNATURE_INVALID'
  | 'STORE_CORRUPT'
  | 'STORE_DISK_FULL'
  | 'EDIT_MISMATCH'
  | 'DOWNLOAD_FAILED'
  | 'DEBIAN_UNVERIFIED';
/** A source cannot be had, is not what it should be, or an edit does not fit it: exit code 3. */
export class SourceError extends ForgeError {
  readonly exit = EXIT.source;
  declare readonly code: SourceCode;
  constructor(code: SourceCode, message: string, detail?: ErrorDetail) {
    super(code, message, detail);
  }
}

/** Codes of {@link EngineError}: there is no engine, or it failed us. */
export type EngineCode =
  | 'ENGINE_NOT_FOUND'
  | 'ENGINE_LOST'
  | 'ENGINE_REFUSED'
  | 'IMAGE_BUILD_FAILED'
  | 'BASE_UNAVAILABLE'
  | 'BOOT_MACHINE_FAILED';
/** There is no engine or build image, or it was lost: exit code 4. */
export class EngineError extends ForgeError {
  readonly exit = EXIT.engine;
  declare readonly code: EngineCode;
  constructor(code: EngineCode, message: string, detail?: ErrorDetail) {
    super(code, message, detail);
  }
}

/** Codes of {@link BuildError}: one cell's build failed. */
export type BuildCode = 'BUILD_FAILED' | 'BUILD_TIMEOUT' | 'BUILD_OUT_OF_MEMORY' | 'BUILD_DISK_FULL' | 'OUTPUT_DISK_FULL';
/** A cell's build failed: exit code 1. */
export class BuildError extends ForgeError {
  readonly exit = EXIT.someFailed;
  declare readonly code: BuildCode;
  constructor(code: BuildCode, message: string, detail?: ErrorDetail) {
    super(code, message, detail);
  }
}

/** Codes of {@link OutputError}: something was built, but it is not what it should be. */
export type OutputCode =
  | 'OUTPUT_MISSING'
  | 'OUTPUT_DAMAGED'
  | 'OUTPUT_DIFFERS'
  | 'INSPECT_FAILED'
  | 'BOOT_FAILED'
  | 'NOT_ATTESTED'
  | 'UNPROVEN';
/** What was built is missing or is not a loader of its cell: exit code 5. */
export class OutputError extends ForgeError {
  readonly exit = EXIT.output;
  declare readonly code: OutputCode;
  constructor(code: OutputCode, message: string, detail?: ErrorDetail) {
    super(code, message, detail);
  }
}

/** Codes of {@link ReproduceError}: an image did not come about again. */
export type ReproduceCode = 'NOT_REPRODUCIBLE' | 'ENVIRONMENT_DIFFERS';
/** A build gave another image than before, or cannot be done again as it was: exit code 7. */
export class ReproduceError extends ForgeError {
  readonly exit = EXIT.notReproducible;
  declare readonly code: ReproduceCode;
  constructor(code: ReproduceCode, message: string, detail?: ErrorDetail) {
    super(code, message, detail);
  }
}

/** Codes of {@link VerifyError}: something is not what its signature or digest says. */
export type VerifyCode =
  | 'SIGNATURE_INVALID'
  | 'STATEMENT_INVALID'
  | 'INDEX_INVALID'
  | 'INDEX_EXPIRED'
  | 'INDEX_REPLAYED'
  | 'KEY_REVOKED'
  | 'PUBLICATION_DIFFERS'
  | 'PUBLICATION_BROKEN'
  | 'FILE_DIFFERS';
/** What was to be verified is not genuine: exit code 6. */
export class VerifyError extends ForgeError {
  readonly exit = EXIT.verification;
  declare readonly code: VerifyCode;
  constructor(code: VerifyCode, message: string, detail?: ErrorDetail) {
    super(code, message, detail);
  }
}

/** The user stopped the run. */
export class InterruptedError extends ForgeError {
  readonly exit = EXIT.interrupted;
  constructor(message = 'interrupted') {
    super('INTERRUPTED', message);
  }
}

/** An error as plain data, for events, journals and `--json`. */
export interface ErrorData {
  code: string;
  message: string;
  expected?: string;
  got?: string;
  hint?: string;
}

/** Turn anything thrown into plain data; unknown errors get the code `INTERNAL`. */
export function errorData(error: unknown): ErrorData {
  if (error instanceof ForgeError) {
    const { code, message, expected, got, hint } = error;
    return {
      code,
      message,
      ...(expected === undefined ? {} : { expected }),
      ...(got === undefined ? {} : { got }),
      ...(hint === undefined ? {} : { hint }),
    };
  }
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) };
}

/** Several lines for a person: what happened, expected and got, what to try. */
export function errorText(error: unknown): string {
  const data = errorData(error);
  const lines = [`${data.message} [${data.code}]`];
  for (const [label, text] of [
    ['expected: ', data.expected],
    ['got:      ', data.got],
    ['try:      ', data.hint],
  ] as const)
    for (const [i, line] of (text?.split('\n') ?? []).entries()) lines.push(`  ${i === 0 ? label : ' '.repeat(label.length)}${line}`);
  return printable(lines.join('\n'));
}

/** Text without what could make a terminal do something: it may be of a file or server of somebody else. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => (one === '\n' || one === '\t' ? one : '?'));
}

/** The exit code of one failure. Unknown errors count as a failed cell. */
export function exitCode(error: unknown): ExitCode {
  return error instanceof ForgeError ? error.exit : EXIT.someFailed;
}

/** The exit code of a run: that of the failures' class if all failed alike, else 1. */
export function runExitCode(failures: readonly unknown[]): ExitCode {
  const codes = new Set(failures.map(exitCode));
  if (codes.size === 0) return EXIT.ok;
  if (codes.has(EXIT.interrupted)) return EXIT.interrupted;
  const [only] = codes;
  return codes.size === 1 && only !== undefined ? only : EXIT.someFailed;
}

/** Codes of what a file system refuses because of how things are there, not because of a fault here. */
const REFUSALS = ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ENAMETOOLONG', 'ELOOP'];

/**
 * What a file system refuses, as an error of the user's; undefined for any other error.
 * @param more codes that are refusals there, too
 */
export function refusalOf(error: unknown, where: string, more: readonly string[] = []): UsageError | undefined {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof ForgeError || code === undefined || ![...REFUSALS, ...more].includes(code)) return undefined;
  return new UsageError('FILE_UNREADABLE', `${where} cannot be used: ${message}`, {
    hint: 'look whether it is there, is what it should be (a file or a folder), and may be written by you',
    cause: error,
  });
}

/** True for the error that Node gives when a disk is full or a quota is used up. */
export function isDiskFull(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
