import { errorTable, type EverywireError } from '@everywire/protocol';
import { escapesOf, headerLine } from './escape.ts';
import type { Frame, Headers, Version } from './frame.ts';

/** A heart-beat: an end of line between frames. */
export const beat = Buffer.from('\n');

/**
 * One frame as bytes, without the headers that this version cannot express. The caller adds `content-length` if there
 * is a body.
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
  /** The agreed version; before that 1.0, which every client understands. */
  readonly version: Version;
  readonly receipt?: string | undefined;
  /** Further header fields for the client, such as the supported versions. */
  readonly headers?: Headers | undefined;
}

/** ERROR: `message` is the code of the error table, for programs; the body is a sentence for people. */
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

/** The content of an ERROR, for a client. */
export interface StompError {
  /** A code of the error table, if the server is Everywire; other servers write a sentence. */
  readonly message: string | undefined;
  readonly detail: string;
  /** The receipt of the request that it answers. */
  readonly receipt: string | undefined;
  readonly retryAfterMs: number | undefined;
}

export function readError({ headers, body }: Frame): StompError {
  const retryAfter = headers.get('retry-after-ms');
  return {
    message: headers.get('message'),
    detail: body.toString().trim(),
    receipt: headers.get('receipt-id'),
    retryAfterMs: retryAfter !== undefined && /^\d{1,15}$/.test(retryAfter) ? Number(retryAfter) : undefined,
  };
}
