import type { OutgoingHttpHeaders } from 'node:http';
import { STATUS_CODES } from 'node:http';
import { EverywireError, type EverywireErrorOptions, type ErrorCode } from '@everywire/protocol';
import { problemMediaType, problemOf } from '@everywire/protocol/http';

/** A refusal whose answer carries its own header fields, such as `Allow` (RFC 9110 §15.5.6). */
export class HttpRefusal extends EverywireError {
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ErrorCode,
    detail: string,
    options: EverywireErrorOptions & { readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(code, detail, options);
    this.headers = options.headers ?? {};
  }
}

/** Header fields that an error answer needs beside its type and length. */
export function problemHeaders(error: EverywireError, retryAfterMs: number): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };
  const { comeBack } = error.row;
  if (comeBack === 'later' || comeBack === 'elsewhere') {
    headers['Retry-After'] =
      error.retryAfterMs === undefined ? spreadSeconds(retryAfterMs) : Math.ceil(error.retryAfterMs / 1_000);
  }
  // RFC 6750 §3.1. `Callers` answers a request without credentials.
  if (error.code === 'unauthorized') headers['WWW-Authenticate'] = 'Bearer error="invalid_token"';
  // Not where something else than the token is refused, such as an origin.
  if (error.code === 'forbidden' && error.title === error.row.title)
    headers['WWW-Authenticate'] = 'Bearer error="insufficient_scope"';
  if (!(error instanceof HttpRefusal)) return headers;
  // RFC 9110 §7.8: Upgrade is about this connection.
  const { Upgrade } = error.headers;
  return { ...headers, ...error.headers, ...(Upgrade === undefined ? {} : { Connection: 'upgrade' }) };
}

/** The `Connection` of an answer with these fields after which the connection is closed. */
export function closing({ Connection }: OutgoingHttpHeaders): string {
  return Connection === undefined ? 'close' : `${String(Connection)}, close`;
}

let told = 0;

/**
 * Each refusal adds one second, up to twice the least time. So clients that are refused at the same time do not come
 * back at the same time (T37).
 */
function spreadSeconds(leastMs: number): number {
  const least = Math.ceil(leastMs / 1_000);
  told += 1;
  return least + (told % (least + 1));
}

/** A whole answer, for sockets without a response object. It ends the connection. `more`: further fields. */
export function problemBytes(
  error: EverywireError,
  instance: string | undefined,
  retryAfterMs: number,
  more: OutgoingHttpHeaders = {},
): Buffer {
  const body = JSON.stringify(problemOf(error, instance));
  const status = error.httpStatus;
  const fields = problemHeaders(error, retryAfterMs);
  const headers = {
    ...more,
    'Content-Type': problemMediaType,
    'Content-Length': Buffer.byteLength(body),
    ...fields,
    Connection: closing(fields),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  return Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`);
}
