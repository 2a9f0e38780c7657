import { sha256 } from '../../src/util/hash.ts';
import { serve, type TestServer } from './http-server.ts';

/** An OCI registry in memory that keeps referrers itself, and can fail. */
export interface MemoryRegistry extends TestServer {
  /** Address of its one repository. */
  address: string;
  blobs: Map<string, Buffer>;
  /** By tag and by digest. */
  manifests: Map<string, Buffer>;
  /** How many requests that change something are still answered; then it is cut off. */
  writes: number;
  /** What a blob is given out as. */
  lie: (digest: string, bytes: Buffer) => Buffer;
}

/** See {@link MemoryRegistry}. */
export async function memoryRegistry(): Promise<MemoryRegistry> {
  const [blobs, manifests] = [new Map<string, Buffer>(), new Map<string, Buffer>()];
  const server = await serve((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '' } = request;
      const body = Buffer.concat(chunks);
      const url = new URL(request.url ?? '', 'http://x');
      const name = url.pathname.replace(/^.*\//, '');
      if (!['GET', 'HEAD'].includes(method) && made.writes-- <= 0) return void response.destroy();
      if (method === 'POST') return void response.writeHead(202, { location: '/upload' }).end();
      if (method === 'PUT' && name === 'upload') {
        const right = url.searchParams.get('digest') === `sha256:${sha256(body)}`;
        if (right) blobs.set(`sha256:${sha256(body)}`, body);
        return void response.writeHead(right ? 201 : 400).end();
      }
      if (method === 'PUT') {
        for (const one of [name, `sha256:${sha256(body)}`]) manifests.set(one, body);
        return void response.writeHead(201, { 'oci-subject': 'yes' }).end();
      }
      const isBlob = url.pathname.includes('/blobs/');
      const found = (isBlob ? blobs : manifests).get(name);
      if (!found) return void response.writeHead(404).end();
      response.writeHead(200).end(isBlob ? made.lie(name, found) : found);
    });
  });
  const more = { address: `oci://${server.url.replace('http://', '')}/pv-grub`, blobs, manifests, writes: Number.POSITIVE_INFINITY };
  const made: MemoryRegistry = Object.assign(server, more, { lie: (_digest: string, bytes: Buffer) => bytes });
  return made;
}
