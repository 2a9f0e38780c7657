import { isAbsolute, join, resolve } from 'node:path';
import { UsageError } from '../errors.ts';
import type { ConfigInput } from './schema.ts';

/** A configuration and where it came from. */
export interface LoadedConfig {
  config: ConfigInput;
  /** Absolute path of the user's file, which its relative paths start from; undefined for the product's own default. */
  file: string | undefined;
}

const PLACES = [
  'package.json',
  'matrix.config.ts',
  'matrix.config.mts',
  'matrix.config.js',
  'matrix.config.mjs',
  'matrix.config.json',
  'matrix.config.yaml',
  'matrix.config.yml',
];

/**
 * Check a configuration's form.
 * @param value what the file exported
 * @param origin what to call it in an error
 * @throws UsageError CONFIG_INVALID that names every path that is wrong and what was expected there
 */
export async function checkConfig(value: unknown, origin: string): Promise<ConfigInput> {
  const { configSchema } = await import('./schema.ts');
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(
    (issue) => `${issue.path.length > 0 ? issue.path.map(String).join('.') : '(top level)'}: ${issue.message}`,
  );
  throw new UsageError('CONFIG_INVALID', `${origin} is not a valid configuration:\n${lines.map((line) => `  ${line}`).join('\n')}`, {
    hint: 'docs/configuration.md lists every key; matrix.config.schema.json is its JSON Schema',
  });
}

/**
 * Find and read the configuration: a file given by name, else matrix.config.{ts,mts,js,mjs,json,yaml,yml} or the
 * `pvgrub` key of package.json in `from` or a folder above it (cosmiconfig), else the one of the product itself.
 * @param options.file path given by the user
 * @param options.from folder where the search begins
 * @param options.fallback folder whose configuration is taken where the search finds none
 * @throws UsageError CONFIG_UNREADABLE or CONFIG_INVALID
 */
export async function loadConfig(options: {
  file?: string | undefined;
  from: string;
  fallback?: string | undefined;
}): Promise<LoadedConfig> {
  const { cosmiconfig } = await import('cosmiconfig');
  const explorer = cosmiconfig('pvgrub', { searchPlaces: PLACES, packageProp: 'pvgrub', searchStrategy: 'global' });
  let found: Awaited<ReturnType<typeof explorer.search>> = null;
  let ownDefault = false;
  const wanted = options.file === undefined ? undefined : isAbsolute(options.file) ? options.file : join(options.from, options.file);
  try {
    found = wanted === undefined ? await explorer.search(resolve(options.from)) : await explorer.load(wanted);
    if (!found && options.fallback !== undefined) {
      found = await explorer.search(options.fallback);
      ownDefault = true;
    }
  } catch (error) {
    const where = wanted ?? (error as { filepath?: string }).filepath;
    throw new UsageError('CONFIG_UNREADABLE', `the configuration${where ? ` ${where}` : ''} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (!found) return { config: {}, file: undefined };
  const config = await checkConfig(found.isEmpty ? {} : found.config, found.filepath);
  return { config, file: ownDefault ? undefined : found.filepath };
}
