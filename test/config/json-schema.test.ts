import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configJsonSchema, schemaFile } from '../../scripts/generate-schema.ts';
import { configSchema } from '../../src/config/schema.ts';

test('matrix.config.schema.json is the one that the code gives (else: npm run generate)', () => {
  expect(readFileSync(schemaFile, 'utf8')).toBe(configJsonSchema());
});

test('the JSON Schema names every key of the configuration and allows no other', () => {
  const schema = JSON.parse(configJsonSchema());
  expect(Object.keys(schema.properties)).toEqual(Object.keys(configSchema.shape));
  expect(schema.additionalProperties).toBe(false);
  expect(schema.title).toBe('pvgrub-forge configuration');
});

// A pattern in a JSON Schema has no flags: what the code takes, an editor must take as well.
test.each(['512m', '4G', '1.5g', '4096', '0', '0m', 'm', '4t', '-1'])(
  'the JSON Schema and the code agree about a memory limit of %j',
  (memory) => {
    const limit = JSON.parse(configJsonSchema()).properties.limits.properties.memory;
    const { pattern } = limit.anyOf.find((entry: { type: string }) => entry.type === 'string');
    expect(new RegExp(pattern).test(memory)).toBe(configSchema.safeParse({ limits: { memory } }).success);
  },
);
