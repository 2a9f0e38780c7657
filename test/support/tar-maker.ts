import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Header, pack } from 'tar-stream';
import { afterAll } from 'vitest';
import type { SourceRef } from '../../src/catalog/types.ts';

/** A folder of the test file's own, removed when its tests are done. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pvgrub-sources-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** One entry: tar-stream's header, so that also what no tar program would write can be made. */
export type MadeEntry = Partial<Header> & { name: string; content?: string | Uint8Array };

/** A plain tarball with just these entries. */
export async function makeTar(entries: readonly MadeEntry[]): Promise<Buffer> {
  const tar = pack();
  for (const { content = '', ...header } of entries) {
    const body = Buffer.from(content);
    const plain = header.type === undefined || header.type === 'file';
    const whole = { mtime: new Date(0), ...header, size: plain ? body.length : 0 };
    if (plain) tar.entry(whole, body);
    else tar.entry(whole);
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A small good tarball with one folder at its top. */
export function goodTar(top = 'thing-1.0', text = 'hello\n'): Promise<Buffer> {
  return makeTar([
    { name: `${top}/`, type: 'directory', mode: 0o755 },
    { name: `${top}/README`, mode: 0o644, content: text },
    { name: `${top}/configure`, mode: 0o755, content: '#!/bin/sh\n' },
  ]);
}

/** Bytes through a real compressor. */
export function compress(tool: 'gzip' | 'xz' | 'bzip2', bytes: Uint8Array): Buffer {
  return execFileSync(tool, ['-c'], { input: bytes, maxBuffer: 2 ** 27 });
}

export function digest(algorithm: 'sha256' | 'sha512', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}

export function put(folder: string, name: string, bytes: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** Write the checksum of a tar header that a test has made or changed. */
export function resum(header: Buffer): void {
  header.write(' '.repeat(8), 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

/** A source as a recipe would name it. */
export function makeRef(more: Partial<SourceRef> = {}): SourceRef {
  return { name: 'thing', version: '1.0', file: 'thing-1.0.tar', top: 'thing-1.0', pins: {}, origins: [], ...more };
}
