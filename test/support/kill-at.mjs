// Loaded with --import: ends the process, as kill -9 does, before the n-th call that changes something on the disk.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

let left = Number(process.env.KILL_AT);
for (const name of ['rename', 'rm', 'mkdir', 'mkdtemp', 'open', 'writeFile', 'link', 'copyFile']) {
  const real = fs.promises[name];
  fs.promises[name] = (...args) => {
    const changes = name !== 'open' || /[wa+x]/.test(String(args[1] ?? 'r'));
    if (changes && --left === 0) process.kill(process.pid, 'SIGKILL');
    return real.apply(fs.promises, args);
  };
}
syncBuiltinESMExports();
