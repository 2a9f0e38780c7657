import type { Metadata } from '../build/metadata.ts';

/** A file that a buildinfo lists; digests in hex. */
export interface ListedFile {
  file: string;
  size: number;
  md5: string;
  sha1: string;
  sha256: string;
}

/**
 * What an image was built from, in the form that Debian's tools read: deb-buildinfo(5), unsigned and without Build-Date,
 * so that the same image has the same one. Pure.
 *
 * @param files the image and what else came of the build
 * @returns the content of `<image>.buildinfo`
 */
export function buildinfo(metadata: Metadata, files: readonly ListedFile[]): string {
  const { loader, version, buildImage, environment, inputHash, sources, edits } = metadata;
  const sums = (name: 'md5' | 'sha1' | 'sha256') => files.map(({ file, size, ...digests }) => ` ${digests[name]} ${size} ${file}`);
  const lines = [
    'Format: 1.0',
    `Source: ${loader}`,
    `Binary: ${loader}`,
    // What it runs on is said by the file name: to Debian's tools both widths are files of an amd64 build.
    'Architecture: amd64',
    `Version: ${version}`,
    // The form demands all three; the last one is for use.
    'Checksums-Md5:',
    ...sums('md5'),
    'Checksums-Sha1:',
    ...sums('sha1'),
    'Checksums-Sha256:',
    ...sums('sha256'),
    'Build-Origin: Debian',
    'Build-Architecture: amd64',
    'Build-Path: /cell/src',
    'Installed-Build-Depends:',
    ...buildImage.packages.map((name, i) => ` ${dependency(name)}${i + 1 < buildImage.packages.length ? ',' : ''}`),
    'Environment:',
    ...Object.entries(environment)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => ` ${name}="${value.replaceAll(/["\\]/g, '\\$&')}"`),
    `X-Pvgrub-Forge-Input-Hash: ${inputHash}`,
    'X-Pvgrub-Forge-Sources:',
    ...sources.map(({ name, version, sha256 }) => ` ${sha256} ${name} ${version}`),
    ...(edits.length > 0 ? ['X-Pvgrub-Forge-Edits:', ...edits.map(({ id, digest }) => ` ${digest} ${id}`)] : []),
  ];
  return `${lines.join('\n')}\n`;
}

/** `package:arch=version` as a relation; the architecture is named where it is not that of the build. */
function dependency(name: string): string {
  const [, pack = name, arch = '', version = ''] = /^([^:=]+)(?::([^=]+))?=(.*)$/.exec(name) ?? [];
  return `${pack}${arch === 'amd64' || arch === 'all' || arch === '' ? '' : `:${arch}`} (= ${version})`;
}
