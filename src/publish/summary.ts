import { VERSION } from '../catalog/load.ts';
import type { Statement } from './dsse.ts';
import type { PublicKey } from './key.ts';

/** What a rebuild found, as a SLSA verification summary (slsa.dev/spec/v1.0/verification_summary). Pure. */

export const VERIFICATION_SUMMARY = 'https://slsa.dev/verification_summary/v1';

/** What is summed up. */
export interface Verified {
  image: { file: string; sha256: string };
  /** Name and version of what it is, for its package URL. */
  loader: string;
  version: string;
  /** The provenance that it was rebuilt from: file name and SHA-256. */
  provenance: { file: string; sha256: string };
  /** The build image that it was rebuilt in: digest of its manifest, and SHA-256 of the archive that it was made from. */
  buildImage: { digest: string; archive: string | undefined };
  ok: boolean;
  when: Date;
}

/** The statement that an image came about again, bit for bit, from its provenance, or did not. */
export function verificationSummary(
  { image, loader, version, provenance, buildImage, ok, when }: Verified,
  rebuilder: PublicKey,
): Statement {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: image.file, digest: { sha256: image.sha256 } }],
    predicateType: VERIFICATION_SUMMARY,
    predicate: {
      verifier: { id: `urn:pvgrub-forge:rebuilder:${rebuilder.id}`, version: { 'pvgrub-forge': VERSION } },
      timeVerified: when.toISOString(),
      resourceUri: `pkg:generic/${loader}@${version}?checksum=sha256:${image.sha256}`,
      policy: { uri: 'urn:pvgrub-forge:policy:rebuilt-bit-for-bit:1' },
      inputAttestations: [{ uri: provenance.file, digest: { sha256: provenance.sha256 } }],
      verificationResult: ok ? 'PASSED' : 'FAILED',
      verifiedLevels: [ok ? 'PVGRUB_FORGE_REPRODUCED' : 'FAILED'],
      slsaVersion: '1.0',
      pvgrubForge_buildImage: {
        uri: `urn:pvgrub-forge:build-image:${buildImage.digest}`,
        ...(buildImage.archive ? { digest: { sha256: buildImage.archive } } : {}),
      },
    },
  };
}
