import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reference } from '../src/cli/reference.ts';

/** Writes docs/commands.md from the command line itself. */
writeFileSync(join(import.meta.dirname, '../docs/commands.md'), reference());
