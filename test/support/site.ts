import { readFileSync, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { sendWithRange, serve, type TestServer } from './http-server.ts';

/** What a request is answered with instead; false where it is answered as it should be. */
export type Trick = (path: string, request: IncomingMessage, response: ServerResponse) => boolean | undefined;

/** A web server that gives out a folder, as any does, but for what a trick of the moment makes of it. */
export interface Site extends TestServer {
  trick: Trick | undefined;
}

/** See {@link Site}. */
export async function site(folder: () => string): Promise<Site> {
  const server = await serve((request, response) => {
    const path = decodeURIComponent((request.url ?? '').slice(1)).replace(/^$/, 'index.html');
    if (made.trick?.(path, request, response)) return;
    const file = join(folder(), path);
    if (path.includes('..') || !statSync(file, { throwIfNoEntry: false })?.isFile()) return void response.writeHead(404).end();
    sendWithRange(request, response, readFileSync(file));
  });
  const made: Site = Object.assign(server, { trick: undefined });
  return made;
}
