import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, vi } from 'vitest';

/** How the apt of another machine is set up. */
export interface AptSetUp {
  /** sources.list(5). `DIR` stands for the folder of the set-up. */
  sources: string;
  /** apt.conf(5). */
  conf?: string;
  /** Other files, by name below that folder; `DIR` as in the sources. */
  files?: Record<string, string>;
  /** Indices that were fetched: a Release file's text by its name in apt's lists. */
  lists?: Record<string, string>;
}

/** Files of apt as on an ubuntu-24.04 runner of GitHub (actions/runner-images); its lists are empty. */
export const githubRunner = {
  'etc/sources.list.d/ubuntu.sources':
    'Types: deb\nURIs: mirror+file:DIR/etc/apt-mirrors.txt\nSuites: noble noble-updates noble-security\nComponents: main universe\n',
  'etc/sources.list.d/microsoft-prod.list': 'deb [arch=amd64] https://packages.microsoft.com/ubuntu/24.04/prod noble main\n',
  'etc/apt-mirrors.txt':
    'http://azure.archive.ubuntu.com/ubuntu/\tpriority:1\nhttps://archive.ubuntu.com/ubuntu/\tpriority:2\nhttps://security.ubuntu.com/ubuntu/\tpriority:3\n',
};

/** Have this process use an apt of its own (APT_CONFIG) until the test ends. @returns the variable's value */
export function aptConfig({ sources, conf = '', files = {}, lists = {} }: AptSetUp): string {
  const root = mkdtempSync(join(tmpdir(), 'pvgrub-apt-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const name of ['etc/sources.list.d', 'etc/apt.conf.d', 'etc/preferences.d', 'lists/partial', 'cache/archives/partial'])
    mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, 'etc/sources.list'), sources.replaceAll('DIR', root));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text.replaceAll('DIR', root));
  for (const [name, text] of Object.entries(lists)) writeFileSync(join(root, 'lists', name), text);
  const main = join(root, 'apt.conf');
  writeFileSync(
    main,
    `#clear Acquire::http;
Dir "${root}"; Dir::Etc "etc"; Dir::Etc::sourcelist "sources.list"; Dir::Etc::sourceparts "sources.list.d"; Dir::Etc::parts "apt.conf.d";
Dir::Etc::preferencesparts "preferences.d"; Dir::State "."; Dir::State::lists "lists"; Dir::State::status "/var/lib/dpkg/status"; Dir::Cache "cache";
APT::Architecture "amd64"; APT::Architectures "amd64";
${conf}\n`,
  );
  vi.stubEnv('APT_CONFIG', main);
  return main;
}
