import { StringDecoder } from 'node:string_decoder';
import { EngineError } from '../errors.ts';

/** A message of an image build, pull or import. */
export interface ProgressMessage {
  stream?: string;
  status?: string;
  id?: string;
  error?: string;
  errorDetail?: { message?: string; code?: number };
}

/** Lines of a byte stream, UTF-8; a character cut between two chunks is whole again, a last line needs no newline. */
export async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))).split('\n');
    rest = parts.pop() as string;
    for (const part of parts) yield part;
  }
  rest += decoder.end();
  if (rest !== '') yield rest;
}

/**
 * Read the JSON lines of an image build, pull or import to their end. The API answers 200 and reports a failure
 * inside the stream, so `error` and `errorDetail` (Podman sends either) become an error here.
 * @throws EngineError IMAGE_BUILD_FAILED
 */
export async function followProgress(
  chunks: AsyncIterable<Uint8Array>,
  what: string,
  onMessage: (message: ProgressMessage) => void = () => {},
): Promise<ProgressMessage[]> {
  const messages: ProgressMessage[] = [];
  for await (const line of lines(chunks)) {
    if (line.trim() === '') continue;
    let message: ProgressMessage;
    try {
      message = JSON.parse(line) as ProgressMessage;
    } catch {
      // Something between us and the engine spoke: it is not an answer to rely on.
      throw new EngineError('IMAGE_BUILD_FAILED', `${what}: the engine's answer is not JSON: ${line.slice(0, 200)}`);
    }
    messages.push(message);
    onMessage(message);
    if (message.error !== undefined || message.errorDetail !== undefined) {
      const text = message.errorDetail?.message ?? message.error ?? 'no reason given';
      const said = messages.flatMap((entry) => (entry.stream ?? '').split('\n')).filter((entry) => entry.trim() !== '');
      throw new EngineError(
        'IMAGE_BUILD_FAILED',
        `${what} failed: ${text.trim()}`,
        said.length > 0 ? { got: said.slice(-8).join('\n') } : {},
      );
    }
  }
  return messages;
}
