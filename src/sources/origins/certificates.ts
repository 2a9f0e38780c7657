import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as tls from 'node:tls';
import { SourceError } from '../../errors.ts';

/**
 * The certificates of SSL_CERT_FILE, which OpenSSL's programs honour.
 * @throws SourceError DOWNLOAD_FAILED where it cannot be read, has none, or has a damaged one
 */
function ofFile(file: string): string[] {
  const wrong = (why: string, cause?: unknown) =>
    new SourceError('DOWNLOAD_FAILED', `SSL_CERT_FILE names ${file}: ${why}`, {
      hint: 'name a file with PEM certificates, or unset SSL_CERT_FILE',
      cause,
    });
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw wrong((error as Error).message, error);
  }
  const found = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g);
  if (!found) throw wrong('it contains no PEM certificate');
  // OpenSSL leaves out one that it cannot read, and says nothing.
  for (const [i, one] of found.entries()) {
    try {
      new X509Certificate(one);
    } catch (error) {
      throw wrong(`certificate ${i + 1} in it is damaged`, error);
    }
  }
  return found;
}

/**
 * What proves https servers: Node's own list, NODE_EXTRA_CA_CERTS, the system's store (SSL_CERT_DIR included) and
 * SSL_CERT_FILE. Read in the process, so that it holds however the product is started.
 * @throws SourceError DOWNLOAD_FAILED for a SSL_CERT_FILE that cannot be used
 */
export function trusted(env: NodeJS.ProcessEnv = process.env): tls.SecureContext {
  const file = env['SSL_CERT_FILE'];
  const ca = new Set([...tls.getCACertificates('default'), ...tls.getCACertificates('system'), ...(file ? ofFile(file) : [])]);
  return tls.createSecureContext({ ca: [...ca] });
}

const UNTRUSTED: Record<string, string> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by an authority that this machine does not trust',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate is signed by an authority that this machine does not trust',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is signed by an authority that this machine does not trust',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is signed by an authority that this machine does not trust',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
};

/** The reason and what to try, where an error is about a server's certificate. */
export function certificateProblem(error: unknown): { reason: string; hint: string } | undefined {
  const { code: own = '', cause } = error as { code?: string; cause?: { code?: string } };
  // undici wraps a proxy's certificate that is for another name.
  const ofProxy = own === 'UND_ERR_PRX_TLS';
  const code = ofProxy ? (cause?.code ?? '') : own;
  const reason = ofProxy ? UNTRUSTED[code]?.replace('its', "the proxy's") : UNTRUSTED[code];
  if (reason === undefined) return undefined;
  const hint = /EXPIRED|NOT_YET/.test(code)
    ? "check this machine's clock, then ask who runs the server"
    : code === 'ERR_TLS_CERT_ALTNAME_INVALID'
      ? 'use the name that the certificate is for'
      : "add the authority's certificate to the system's store (Debian: /usr/local/share/ca-certificates, then update-ca-certificates), or name its file in SSL_CERT_FILE";
  return { reason: `${reason} (${code})`, hint };
}
