import * as z from 'zod';
import { VERSION, VERSION_PATTERN } from '../catalog/version.ts';

const WANTED = 'expected a version such as 4.17.5, or 4.17.*, 4.17.latest, *.latest, latest or *';
const version = z.string().regex(new RegExp(`${VERSION.source}|${VERSION_PATTERN.source}`), WANTED);
const selector = z.string().min(1);
const positive = z.int().positive();
const BYTES = 'expected bytes, more than 0: a number, or a text such as "512m" or "4g"';
// Patterns go into the JSON Schema, which has no flags.
const bytes = z
  .union([positive, z.string().regex(/^(?=.*[1-9])\d+(\.\d+)?[kmgKMG]?$/, BYTES)], BYTES)
  .describe('bytes: a number, or a text with k, m or g (powers of 1024)');
const duration = z
  .string()
  .regex(/^(?=.*[1-9])\d+(\.\d+)?[smh]$/, 'expected a time such as "90s", "45m" or "2h"')
  .describe('a time such as 90s, 45m or 2h');
const url = z.string().regex(/^https?:\/\/\S+$/, 'expected an http or https URL');
const origin = z.string().min(1).describe('tarball URL or file, git:REPOSITORY[#COMMIT], dir:FOLDER or debian:PACKAGE/FILE@SUITE');

const engineAddress = z
  .string()
  .regex(
    /^(auto|private|(unix|tcp|http|https|ssh):\/\/.+)$/,
    'expected "auto", "private" or an address such as unix:///var/run/docker.sock',
  );

const perLoader = <const T extends [string, ...string[]]>(arches: T) =>
  z.strictObject({
    versions: z.array(version).describe('upstream versions of the catalog: 4.17.5, 4.17.*, 4.17.latest, *.latest, latest, or * for all'),
    arches: z.array(z.enum(arches)).optional().describe('widths; all by default'),
  });

/** The configuration as people write it; docs/configuration.md explains each key. */
export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  loaders: z
    .strictObject({
      'pv-grub': perLoader(['x86_64', 'x86_32']).optional(),
      pvgrub2: perLoader(['x86_64', 'x86_32', 'x86_32_pvh']).optional(),
    })
    .optional()
    .describe('the cells of the matrix'),
  include: z.array(selector).optional().describe('if given, only these cells'),
  exclude: z.array(selector).optional().describe('not these cells'),
  default: z.array(selector).optional().describe('what build takes when no selector is given, in this order'),
  output: z.string().min(1).optional().describe('folder for the results, relative to this file'),
  store: z.string().min(1).optional().describe('folder of the store of verified sources'),
  cache: z.string().min(1).optional().describe('folder of what later builds may take over from earlier ones'),
  lock: z.string().min(1).optional().describe('lock file: checksums that `sources lock` has proved by a signature'),
  engine: engineAddress.optional().describe('the one engine; several: engines'),
  engines: z
    .array(
      z.union(
        [engineAddress, z.strictObject({ address: engineAddress, cores: positive.optional(), cells: positive.optional() })],
        'expected an address, or { address, cores, cells }',
      ),
    )
    .min(1)
    .optional()
    .describe('engines that cells are spread over; cores and cells: what may be used of each'),
  concurrency: z
    .strictObject({ cores: positive.optional(), cells: positive.optional() })
    .optional()
    .describe('cores: the budget of all cells together; cells: how many side by side'),
  limits: z
    .strictObject({ time: duration.optional(), memory: bytes.optional(), pids: positive.optional(), source: bytes.optional() })
    .optional()
    .describe('per cell: time, memory, processes; source: the largest download'),
  mirrors: z.array(url).optional().describe('folders asked for each tarball by its file name before its own places'),
  debianMirror: url.optional().describe('base URL of a Debian mirror, where the machine has no apt to ask'),
  origins: z
    .record(z.string(), z.union([origin, z.array(origin)], 'expected an origin or a list of origins: texts'))
    .optional()
    .describe('by source name (or name@version): where to get it instead'),
  trust: z.array(z.string()).optional().describe('names of sources that are taken although nothing proves them'),
  offline: z.boolean().optional(),
  image: z
    .strictObject({ base: z.string().min(1).optional(), suite: z.enum(['bookworm']).optional() })
    .optional()
    .describe('base: "auto", "mmdebstrap", or an image reference to use as the base of the build image'),
});

export type ConfigInput = z.input<typeof configSchema>;
