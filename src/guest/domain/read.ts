import { readFile } from 'node:fs/promises';
import { refusalOf, UsageError } from '../../errors.ts';
import { statOf } from '../../util/files.ts';
import { decoded, type Encoding } from '../text.ts';
import type { BootThrough, Domain } from './domain.ts';
import { readLibvirtDomain, rewriteLibvirt } from './libvirt.ts';
import { readXlDomain, rewriteXl } from './xl.ts';

/** A domain's configuration, in whatever format it is. */
export interface DomainFile {
  path: string;
  text: string;
  encoding: Encoding;
  domain: Domain;
}

const MAX = 4 * 2 ** 20;

const isXml = (text: string) => /^\s*</.test(text);

/** Read a domain's configuration: xl's or xm's, or libvirt XML. Pure. @throws UsageError DOMAIN_INVALID */
export function parseDomain(text: string, where: string): Domain {
  return isXml(text) ? readLibvirtDomain(text, where) : readXlDomain(text, where);
}

/** The same configuration, booting through a loader. Pure. @throws UsageError DOMAIN_INVALID */
export function rewriteDomain({ path, text }: Pick<DomainFile, 'path' | 'text'>, through: BootThrough): string {
  return isXml(text) ? rewriteLibvirt(text, path, through) : rewriteXl(text, path, through);
}

/** @throws UsageError FILE_UNREADABLE, DOMAIN_INVALID */
export async function readDomain(path: string): Promise<DomainFile> {
  const stat = await statOf(path);
  if (stat && (!stat.isFile() || stat.size > MAX))
    throw new UsageError('FILE_UNREADABLE', `${path} is no configuration of a domain`, {
      expected: 'a file of some kilobytes',
      hint: 'another disk of the guest is named with --disk',
    });
  const bytes = await readFile(path).catch((error: Error) => {
    throw refusalOf(error, path, ['ENOENT']) ?? error;
  });
  const { text, encoding } = decoded(bytes);
  return { path, text, encoding, domain: parseDomain(text, path) };
}
