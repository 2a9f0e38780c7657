import { sign, verify } from 'node:crypto';
import { VerifyError } from '../errors.ts';
import type { PublicKey, SigningKey } from './key.ts';

/** Signed statements: in-toto Statement v1 in DSSE 1.0.2 envelopes, one a line (`<artifact>.intoto.jsonl`). Pure. */

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** A file or other thing that a statement is about or names. */
export interface ResourceDescriptor {
  name?: string;
  uri?: string;
  digest?: Record<string, string>;
  mediaType?: string;
  /** Base64. */
  content?: string;
  annotations?: Record<string, unknown>;
}

/** An in-toto Statement v1. */
export interface Statement {
  _type: 'https://in-toto.io/Statement/v1';
  subject: ResourceDescriptor[];
  predicateType: string;
  predicate: Record<string, unknown>;
}

/** What is signed: DSSE's pre-authentication encoding. */
function encoding(type: string, body: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `;
  return Buffer.concat([Buffer.from(head), body]);
}

/** Sign a statement. @returns one line of JSON with its end of line */
export function signStatement(statement: Statement, key: SigningKey): string {
  const payload = Buffer.from(JSON.stringify(statement));
  const sig = sign(null, encoding(PAYLOAD_TYPE, payload), key.object).toString('base64');
  return `${JSON.stringify({ payloadType: PAYLOAD_TYPE, payload: payload.toString('base64'), signatures: [{ keyid: key.public.id, sig }] })}\n`;
}

/** Statements are some hundred kB. */
const MAX_LINE = 64 * 2 ** 20;

/**
 * The statements of a file, each signed by a key. What is given back was read from the very bytes that were verified.
 * @param where what to call it in errors
 * @throws VerifyError STATEMENT_INVALID where a line is no envelope with a statement, SIGNATURE_INVALID where none of
 *   its signatures is by this key
 */
export function openStatements(text: string, key: PublicKey, where: string): Statement[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0) throw invalid(where, 'it is empty');
  return lines.map((line, i) => openStatement(line, key, lines.length === 1 ? where : `line ${i + 1} of ${where}`));
}

function invalid(where: string, why: string): VerifyError {
  return new VerifyError('STATEMENT_INVALID', `${where} is no signed statement: ${why}`, {
    expected: 'an in-toto statement in a DSSE envelope, one a line',
  });
}

function openStatement(line: string, key: PublicKey, where: string): Statement {
  const { payload, signatures } = envelope(line, where);
  const body = Buffer.from(payload, 'base64');
  const signed = encoding(PAYLOAD_TYPE, body);
  if (!signatures.some((signature) => verify(null, signed, key.object, Buffer.from(signature, 'base64'))))
    throw new VerifyError('SIGNATURE_INVALID', `${where} is not signed by this key`, {
      expected: `a signature by ${key.id}`,
      hint: 'it was changed, or is of somebody else: take it, and the key, from where they are published',
    });
  try {
    const statement = JSON.parse(body.toString('utf8')) as Statement;
    if (statement._type !== 'https://in-toto.io/Statement/v1' || !Array.isArray(statement.subject)) throw new Error('no Statement v1');
    if (typeof statement.predicateType !== 'string' || typeof statement.predicate !== 'object' || statement.predicate === null)
      throw new Error('it has no predicate');
    return statement;
  } catch (error) {
    throw invalid(where, (error as Error).message);
  }
}

function envelope(line: string, where: string): { payload: string; signatures: string[] } {
  if (line.length > MAX_LINE) throw invalid(where, 'it is too long');
  try {
    const { payloadType, payload, signatures } = JSON.parse(line) as Record<string, unknown>;
    if (payloadType !== PAYLOAD_TYPE) throw new Error(`its payload is of the type ${JSON.stringify(payloadType)}`);
    if (typeof payload !== 'string' || !Array.isArray(signatures)) throw new Error('it has no payload or signatures');
    return { payload, signatures: signatures.slice(0, 100).map((one) => (typeof one?.sig === 'string' ? (one.sig as string) : '')) };
  } catch (error) {
    throw invalid(where, (error as Error).message);
  }
}
