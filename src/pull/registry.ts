import { type Dispatcher, request } from 'undici';
import { SourceError, UsageError } from '../errors.ts';
import { agent } from '../sources/origins/download.ts';
import { sha256 } from '../util/hash.ts';
import { authorize, credentials } from './registry-auth.ts';

/** A repository of an OCI registry (opencontainers/distribution-spec 1.1): blobs and manifests. */

export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const IMAGE_INDEX = 'application/vnd.oci.image.index.v1+json';

/** What names a blob or manifest. */
export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
  data?: string;
}

/** A manifest of an artifact. */
export interface Manifest {
  schemaVersion: 2;
  mediaType: string;
  artifactType?: string;
  config?: Descriptor;
  layers?: Descriptor[];
  manifests?: Descriptor[];
  subject?: Descriptor;
  annotations?: Record<string, string>;
}

interface Answer {
  status: number;
  headers: Dispatcher.ResponseData['headers'];
  body: Buffer;
}

const MAX_MANIFEST = 4 * 2 ** 20;

/** See above. Nothing that it gives is believed by itself, but that a blob has its digest is checked. */
export class Registry {
  readonly host: string;
  readonly repository: string;
  private readonly base: string;
  private authorization: string | undefined;

  /**
   * @param address oci://host/repository; without TLS on this machine alone
   * @throws UsageError OPTION_INVALID
   */
  constructor(address: string) {
    const [, host, repository] = /^oci:\/\/([\w.-]+(?::\d+)?)\/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)$/.exec(address) ?? [];
    if (!host || !repository)
      throw new UsageError('OPTION_INVALID', `${address} names no repository`, { expected: 'oci://registry.example.org/pv-grub' });
    this.host = host;
    this.repository = repository;
    const local = /^(localhost|127\.\d+\.\d+\.\d+)(:|$)/.test(host);
    this.base = `${local ? 'http' : 'https'}://${host}`;
  }

  private async call(
    method: Dispatcher.HttpMethod,
    path: string,
    more: { body?: Buffer; type?: string; limit?: number; again?: boolean } = {},
  ): Promise<Answer> {
    const url = path.startsWith('http') ? path : this.base + path;
    // A registry may send us elsewhere to upload; who we are is no matter of that place.
    const mine = new URL(url).host === this.host;
    const where = `${this.host}/${this.repository}`;
    let answer: Dispatcher.ResponseData;
    try {
      answer = await request(url, {
        method,
        dispatcher: agent(url),
        headers: {
          'user-agent': 'pvgrub-forge',
          accept: `${MANIFEST}, ${IMAGE_INDEX}, */*`,
          ...(mine && this.authorization ? { authorization: this.authorization } : {}),
          ...(more.type ? { 'content-type': more.type } : {}),
          ...(more.body ? { 'content-length': String(more.body.length) } : {}),
        },
        ...(more.body ? { body: more.body } : {}),
      });
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      throw new SourceError('DOWNLOAD_FAILED', `${where}: ${message || code || 'no answer'}`, { cause: error });
    }
    const body = await take(answer.body, more.limit ?? MAX_MANIFEST, where);
    if (answer.statusCode === 401 && mine && !more.again) {
      const challenge = String(answer.headers['www-authenticate'] ?? '');
      this.authorization = await authorize(challenge, await credentials(this.host, process.env), where);
      return this.call(method, path, { ...more, again: true });
    }
    return { status: answer.statusCode, headers: answer.headers, body };
  }

  private failed(what: string, { status, body }: Answer): SourceError {
    return new SourceError('DOWNLOAD_FAILED', `${this.host}/${this.repository}: ${what}: HTTP ${status}`, {
      ...(body.length > 0 ? { got: body.toString('utf8', 0, 500) } : {}),
    });
  }

  /** The blob with a SHA-256; undefined where there is none. @throws SourceError DOWNLOAD_FAILED, SOURCE_TOO_LARGE */
  async blob(digest: string, limit: number): Promise<Buffer | undefined> {
    const answer = await this.call('GET', `/v2/${this.repository}/blobs/sha256:${digest}`, { limit });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw this.failed('reading a blob', answer);
    return answer.body;
  }

  /** Have a blob there. @returns whether it was sent */
  async putBlob(bytes: Buffer): Promise<boolean> {
    const digest = `sha256:${sha256(bytes)}`;
    if ((await this.call('HEAD', `/v2/${this.repository}/blobs/${digest}`)).status === 200) return false;
    const begun = await this.call('POST', `/v2/${this.repository}/blobs/uploads/`, { body: Buffer.alloc(0) });
    const location = String(begun.headers.location ?? '');
    if (begun.status !== 202 || location === '') throw this.failed('beginning an upload', begun);
    const url = new URL(location, this.base);
    url.searchParams.set('digest', digest);
    const done = await this.call('PUT', url.href, { body: bytes, type: 'application/octet-stream' });
    if (done.status !== 201) throw this.failed('uploading a blob', done);
    return true;
  }

  /** A manifest by tag or digest; undefined where there is none. */
  async manifest(reference: string): Promise<{ manifest: Manifest; digest: string } | undefined> {
    const answer = await this.call('GET', `/v2/${this.repository}/manifests/${reference}`);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw this.failed(`reading ${reference}`, answer);
    try {
      return { manifest: JSON.parse(answer.body.toString('utf8')) as Manifest, digest: `sha256:${sha256(answer.body)}` };
    } catch (error) {
      throw new SourceError('DOWNLOAD_FAILED', `${this.host}/${this.repository}: ${reference} is no manifest`, { cause: error });
    }
  }

  /** Put a manifest under a tag, or under its digest. @returns its descriptor, and whether the registry keeps referrers itself */
  async putManifest(manifest: Manifest, tag?: string): Promise<{ descriptor: Descriptor; refers: boolean }> {
    const bytes = Buffer.from(JSON.stringify(manifest));
    const digest = `sha256:${sha256(bytes)}`;
    const answer = await this.call('PUT', `/v2/${this.repository}/manifests/${tag ?? digest}`, { body: bytes, type: manifest.mediaType });
    if (answer.status !== 201) throw this.failed(`writing ${tag ?? 'a manifest'}`, answer);
    const { mediaType, artifactType, annotations } = manifest;
    const descriptor = {
      mediaType,
      digest,
      size: bytes.length,
      ...(artifactType ? { artifactType } : {}),
      ...(annotations ? { annotations } : {}),
    };
    return { descriptor, refers: answer.headers['oci-subject'] !== undefined };
  }
}

async function take(body: Dispatcher.ResponseData['body'], limit: number, where: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit)
        throw new SourceError('SOURCE_TOO_LARGE', `${where} sends more than it should`, { expected: `at most ${limit} bytes` });
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof SourceError) throw error;
    throw new SourceError('DOWNLOAD_FAILED', `${where}: ${(error as Error).message}`, { cause: error });
  }
  return Buffer.concat(chunks);
}
