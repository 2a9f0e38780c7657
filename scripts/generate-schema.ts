import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { configSchema } from '../src/config/schema.ts';

/** `npm run generate`: writes matrix.config.schema.json, the JSON Schema that editors check a configuration with. */

export const schemaFile: string = fileURLToPath(new URL('../matrix.config.schema.json', import.meta.url));

/** The JSON Schema of matrix.config.json and .yaml, as the file has it. */
export function configJsonSchema(): string {
  const { $schema, ...rest } = z.toJSONSchema(configSchema, { io: 'input' });
  const schema = {
    $schema,
    title: 'pvgrub-forge configuration',
    description: 'What to build, where to put it and where its sources come from; docs/configuration.md explains each key.',
    ...rest,
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(schemaFile, configJsonSchema());
