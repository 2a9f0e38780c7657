/** What the environment has of keys. It is taken out of it at once: no program that is started gets it. */
export const secrets: Readonly<Record<string, string | undefined>> = take('PVGRUB_KEY', 'PVGRUB_KEY_PASSPHRASE');

function take(...names: string[]): Record<string, string | undefined> {
  const taken = Object.fromEntries(names.map((name) => [name, process.env[name]]));
  for (const name of names) delete process.env[name];
  return taken;
}
