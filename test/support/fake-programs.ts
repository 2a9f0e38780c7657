import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { tempFolder } from './temp-folder.ts';

/** Set environment variables until the test ends. */
export function setEnv(values: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name];
    const put = (text: string | undefined) => {
      if (text === undefined) delete process.env[name];
      else process.env[name] = text;
    };
    put(value);
    onTestFinished(() => put(before));
  }
}

/** Programs that are found before the machine's own until the test ends. Each call is noted. */
export interface Programs {
  folder: string;
  /** The program's name and arguments, one line a call. */
  calls: () => string[];
}

/** @param programs shell scripts by the name of the program */
export function fakePrograms(programs: Record<string, string>): Programs {
  const folder = join(tempFolder(), 'bin');
  mkdirSync(folder);
  const noted = join(folder, '.calls');
  writeFileSync(noted, '');
  for (const [name, script] of Object.entries(programs)) {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\necho "${name} $*" >> '${noted}'\n${script}\n`);
    chmodSync(path, 0o755);
  }
  setEnv({ PATH: `${folder}:${process.env['PATH']}` });
  return { folder, calls: () => readFileSync(noted, 'utf8').split('\n').filter(Boolean) };
}
