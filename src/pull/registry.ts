import { type Dispatcher, request } from 'undici';
import { z } from 'zod';
import { SourceError, UsageError } from '../errors.ts';
import { agent, requestProblem } from '../sources/origins/agent.ts';
import { take } from '../sources/origins/download.ts';
import { sha256 } from '../util/hash.ts';
import { authorize, credentials } from './registry-auth.ts';

/** A repository of an OCI registry (opencontainers/distribution-spec 1.1): blobs and manifests. */

export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const IMAGE_INDEX = 'application/vnd.oci.image.index.v1+json';

const texts = z.record(z.string(), z.string());
const descriptor = z.object({
  mediaType: z.string(),
  digest: z.string(),
  size: z.number(),
  artifactType: z.string().optional(),
  annotations: texts.optional(),
  data: z.string().optional(),
});
const manifest = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string(),
  artifactType: z.string().optional(),
  config: descriptor.optional(),
  layers: z.array(descriptor).optional(),
  manifests: z.array(descriptor).optional(),
  subject: descriptor.optional(),
  annotations: texts.optional(),
});

/** What names a blob or manifest. */
export type Descriptor = z.infer<typeof descriptor>;
/** A manifest of an artifact, or an index of several. */
export type Manifest = z.infer<typeof manifest>;

interface Answer {
  status: number;
  headers: Dispatcher.ResponseData['headers'];
  body: Buffer;
}

const MAX_MANIFEST = 4 * 2 ** 20;

/** The digest that a manifest has where it is put. */
export function digestOf(content: Manifest): string {
  return `sha256:${sha256(JSON.stringify(content))}`;
}

/** See above. Nothing that it gives is believed by itself: whoever reads a blob looks whether it is the right one. */
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
    const [, named, repository] = /^oci:\/\/([\w.-]+(?::\d+)?)\/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)$/.exec(address) ?? [];
    const host = named?.toLowerCase();
    if (!host || !repository)
      throw new UsageError('OPTION_INVALID', `${address} names no repository`, { expected: 'oci://registry.example.org/pv-grub' });
    this.host = host;
    this.repository = repository;
    const local = /^(localhost|127\.\d+\.\d+\.\d+)(:|$)/.test(host);
    // As URLs have it: without a port that goes without saying.
    this.base = new URL(`${local ? 'http' : 'https'}://${host}`).origin;
  }

  private async call(
    method: Dispatcher.HttpMethod,
    path: string,
    more: { body?: Buffer; type?: string; limit?: number; again?: boolean; signal?: AbortSignal | undefined } = {},
  ): Promise<Answer> {
    const url = path.startsWith('http') ? path : this.base + path;
    const where = `${this.host}/${this.repository}`;
    // A registry may send us elsewhere to upload; who we are is no matter of that place, nor of one that others can listen to.
    const { origin, protocol } = new URL(url);
    const mine = origin === this.base;
    if (protocol === 'http:' && this.base.startsWith('https:'))
      throw new SourceError('DOWNLOAD_FAILED', `${where} leads from https to a place without it`);
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
        ...(more.signal ? { signal: more.signal } : {}),
      });
    } catch (error) {
      more.signal?.throwIfAborted();
      if (error instanceof SourceError) throw error;
      const { reason, hint } = requestProblem(error, url);
      throw new SourceError('DOWNLOAD_FAILED', `${where}: ${reason}`, { cause: error, ...(hint === undefined ? {} : { hint }) });
    }
    const body = await take(answer.body, more.limit ?? MAX_MANIFEST, where);
    if (answer.statusCode === 401 && mine && !more.again) {
      const challenge = String(answer.headers['www-authenticate'] ?? '');
      this.authorization = await authorize(challenge, await credentials(this.host, process.env), where, more.signal);
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
  async blob(digest: string, limit: number, signal?: AbortSignal): Promise<Buffer | undefined> {
    const answer = await this.call('GET', `/v2/${this.repository}/blobs/sha256:${digest}`, { limit, signal });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw this.failed('reading a blob', answer);
    return answer.body;
  }

  /** Have a blob there. @returns whether it was sent */
  async putBlob(bytes: Buffer): Promise<boolean> {
    const digest = `sha256:${sha256(bytes)}`;
    if ((await this.call('HEAD', `/v2/${this.repository}/blobs/${digest}`)).status === 200) return false;
    const begun = await this.call('POST', `/v2/${this.repository}/blobs/uploads/`, { body: Buffer.alloc(0) });
    const url = URL.parse(String(begun.headers.location ?? ''), this.base);
    if (begun.status !== 202 || !url || !begun.headers.location) throw this.failed('beginning an upload', begun);
    url.searchParams.set('digest', digest);
    const done = await this.call('PUT', url.href, { body: bytes, type: 'application/octet-stream' });
    if (done.status !== 201) throw this.failed('uploading a blob', done);
    return true;
  }

  /** A manifest by tag or digest; undefined where there is none. */
  async manifest(reference: string, signal?: AbortSignal): Promise<{ manifest: Manifest; digest: string } | undefined> {
    const answer = await this.call('GET', `/v2/${this.repository}/manifests/${reference}`, { signal });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw this.failed(`reading ${reference}`, answer);
    try {
      return { manifest: manifest.parse(JSON.parse(answer.body.toString('utf8'))), digest: `sha256:${sha256(answer.body)}` };
    } catch (error) {
      throw new SourceError('DOWNLOAD_FAILED', `${this.host}/${this.repository}: ${reference} is no manifest`, { cause: error });
    }
  }

  /** Put a manifest under a tag, or under its digest. @returns its descriptor, and whether the registry keeps referrers itself */
  async putManifest(content: Manifest, tag?: string): Promise<{ descriptor: Descriptor; refers: boolean }> {
    const bytes = Buffer.from(JSON.stringify(content));
    const digest = digestOf(content);
    const answer = await this.call('PUT', `/v2/${this.repository}/manifests/${tag ?? digest}`, { body: bytes, type: content.mediaType });
    if (answer.status !== 201) throw this.failed(`writing ${tag ?? 'a manifest'}`, answer);
    const { mediaType, artifactType, annotations } = content;
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
