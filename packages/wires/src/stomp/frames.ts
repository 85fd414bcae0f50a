import { errorTable, type EverywireError } from '@everywire/protocol';
import { escapesOf, headerLine } from './escape.ts';
import type { Headers, Version } from './frame.ts';

/** A heart-beat: an end of line between frames. */
export const beat = Buffer.from('\n');

/**
 * One frame as bytes. Headers that this version cannot write are left out. `content-length` is not added: who has
 * a body says it.
 */
export function encodeFrame(
  command: string,
  headers: Headers,
  version: Version,
  body: Buffer | string = '',
): Buffer {
  const escapes = escapesOf(command, version);
  let head = `${command}\n`;
  for (const [name, value] of headers) head += headerLine(name, value, escapes);
  return typeof body === 'string'
    ? Buffer.from(`${head}\n${body}\0`)
    : Buffer.concat([Buffer.from(`${head}\n`), body, nul]);
}

const nul = Buffer.alloc(1);

export interface ErrorContext {
  /** Before one was agreed on, 1.0, which every client understands. */
  readonly version: Version;
  readonly receipt?: string | undefined;
  /** Header fields that tell the client what to do, such as the versions spoken here. */
  readonly headers?: Headers | undefined;
}

/** ERROR: `message` is the code of the error table, for programs; the body says it for people. */
export function encodeError(error: EverywireError, { version, receipt, headers = [] }: ErrorContext): Buffer {
  const body = `${errorTable[error.code].title} ${error.message}\n`;
  const { retryAfterMs } = error;
  return encodeFrame(
    'ERROR',
    [
      ['message', error.code],
      ['content-type', 'text/plain; charset=utf-8'],
      ['content-length', String(Buffer.byteLength(body))],
      ...(receipt === undefined ? [] : [['receipt-id', receipt] as const]),
      ...(retryAfterMs === undefined ? [] : [['retry-after-ms', String(retryAfterMs)] as const]),
      ...headers,
    ],
    version,
    body,
  );
}
