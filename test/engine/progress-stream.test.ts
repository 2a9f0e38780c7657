import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tarOf } from '../../src/engine/archive.ts';
import { followProgress, lines, type ProgressMessage } from '../../src/engine/progress-stream.ts';
import { EngineError } from '../../src/errors.ts';
import { fakeDaemon } from '../support/fake-daemon.ts';
import { thrownBy } from '../support/temp-folder.ts';

async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part;
}

const failure = async (...parts: (string | Uint8Array)[]): Promise<EngineError> => {
  const error = await thrownBy(() => followProgress(chunks(...parts), 'building'));
  expect(error).toBeInstanceOf(EngineError);
  return error as EngineError;
};

test('an answer of 200 with errorDetail inside is a failure', async () => {
  const daemon = await fakeDaemon({
    'POST /build': async (response, call) => {
      await call.body();
      response.writeHead(200);
      response.write('{"stream":"Step 1/2"}\n');
      response.end('{"errorDetail":{"code":2,"message":"make: not found"},"error":"make: not found"}\n');
    },
  });
  const stream = await daemon.engine.docker.buildImage(tarOf([]) as never, { t: 'x' });
  const error = (await thrownBy(() => followProgress(stream as never, 'building the image'))) as EngineError;
  expect(error).toBeInstanceOf(EngineError);
  expect(error.code).toBe('IMAGE_BUILD_FAILED');
  expect(error.message).toBe('building the image failed: make: not found');
});

test.each([
  ['error alone, as Podman sends it', '{"error":"no such image"}\n'],
  ['errorDetail alone', '{"errorDetail":{"message":"no such image"}}\n'],
  ['an error in a last line without a newline', '{"status":"Pulling"}\n{"error":"no such image"}'],
  ['an error after a line that ends in CR LF', '{"status":"Pulling"}\r\n\r\n{"error":"no such image"}\r\n'],
])('%s is a failure', async (_name, text) => {
  expect((await failure(text)).message).toBe('building failed: no such image');
});

test('an error without a text is a failure, too', async () => {
  expect((await failure('{"errorDetail":{}}\n')).message).toContain('no reason given');
});

test('a failure shows the last lines that the build printed', async () => {
  const error = await failure('{"stream":"Step 1/2\\n"}\n{"stream":"cc: fatal\\n"}\n{"error":"exit 1"}\n');
  expect(error.got).toBe('Step 1/2\ncc: fatal');
});

test('a line that is not JSON is an error that quotes it, not a crash', async () => {
  const error = await failure('{"stream":"ok"}\n<html>Bad Gateway</html>\n');
  expect(error.code).toBe('IMAGE_BUILD_FAILED');
  expect(error.message).toContain('<html>Bad Gateway</html>');
});

test('a last message without a newline is not dropped', async () => {
  expect(await followProgress(chunks('{"stream":"a"}\n', '{"aux":{"ID":"sha256:1"}}'), 'building')).toEqual([
    { stream: 'a' },
    { aux: { ID: 'sha256:1' } },
  ]);
});

test('a character cut at a chunk border is whole again', async () => {
  const text = Buffer.from('{"stream":"naïve – 建"}\n');
  for (let at = 1; at < text.length; at++) {
    expect(await followProgress(chunks(text.subarray(0, at), text.subarray(at)), 'building')).toEqual([{ stream: 'naïve – 建' }]);
  }
});

test('messages are told one by one, in order, before the end', async () => {
  const told: ProgressMessage[] = [];
  const stream = chunks('{"stream":"1"}\n{"stream":"2"}\n{"error":"x"}\n{"stream":"3"}\n');
  await thrownBy(() => followProgress(stream, 'building', (message) => told.push(message)));
  expect(told.map((message) => message.stream ?? 'error')).toEqual(['1', '2', 'error']);
});

/** Bytes cut where the numbers say. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const borders = [...new Set([0, ...places.map((place) => place % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return borders.slice(1).map((end, i) => bytes.subarray(borders[i], end));
}

test('however a stream is cut into chunks, the same messages come out', async () => {
  const message = fc.record({ stream: fc.string({ unit: 'grapheme' }), id: fc.string() });
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 8 }), fc.array(fc.nat()), fc.boolean(), async (messages, places, newline) => {
      const text = messages.map((entry) => JSON.stringify(entry)).join('\n') + (newline ? '\n' : '');
      expect(await followProgress(chunks(...cut(Buffer.from(text), places)), 'building')).toEqual(messages);
    }),
    { numRuns: 200 },
  );
});

test('lines are those of the text, with none added for a newline at the end', async () => {
  const all = (...parts: string[]) => Readable.from(lines(chunks(...parts))).toArray();
  expect(await all('a\n\nb', 'c\n')).toEqual(['a', '', 'bc']);
  expect(await all()).toEqual([]);
});
