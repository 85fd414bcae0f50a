import type { IncomingHttpHeaders } from 'node:http2';
import { EverywireError } from '@everywire/protocol';
import type { Caller } from './caller.ts';
import { parseTimeoutMs } from '@everywire/wires/grpc';
import { bearerToken } from '../../http/bearer.ts';

/** Deadline, encodings and token of a call, checked before it begins. */
export interface CallHead {
  readonly caller: Caller;
  /** `undefined`: no deadline, or one beyond the longest timer. */
  readonly timeoutMs: number | undefined;
}

/** The longest timer of Node; a longer one would fire at once. */
const timeoutMsMax = 2 ** 31 - 1;

/**
 * The encoding of a call's messages, from its content type (gRPC over HTTP/2, Requests). `undefined`: it is not a type of
 * gRPC, and the answer is 415.
 */
export function encodingOf(contentType: string | undefined): 'proto' | 'json' | undefined {
  const match = /^application\/grpc(?:\+(proto|json))?\s*(?:;|$)/i.exec(contentType ?? '');
  if (match === null) return undefined;
  return match[1]?.toLowerCase() === 'json' ? 'json' : 'proto';
}

/** Reads the head of a call. @throws EverywireError with the status for the call */
export function readCallHead(
  headers: IncomingHttpHeaders,
  from: Omit<Caller, 'token'> = { address: undefined },
): CallHead {
  const encoding = headers['grpc-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new EverywireError(
      'unsupported',
      'Compressed messages are not supported; grpc-encoding must be identity.',
    );
  }
  // Without it, a proxy in between would drop the trailers, and the status with them.
  if (headers['te'] !== 'trailers') throw new EverywireError('malformed', 'te must be trailers.');
  for (const [name, value] of Object.entries(headers)) {
    if (name.endsWith('-bin') && !isBase64(String(value)))
      throw new EverywireError('malformed', 'Metadata whose name ends in -bin must be base64.');
  }
  const timeout = headers['grpc-timeout'] as string | undefined;
  const timeoutMs = timeout === undefined ? undefined : parseTimeoutMs(timeout);
  if (timeout !== undefined && timeoutMs === undefined)
    throw new EverywireError('internal', 'grpc-timeout must be up to eight digits and a unit.');
  if (timeoutMs === 0) throw new EverywireError('timed_out', 'The deadline of the call has passed.');
  return {
    caller: { ...from, token: bearerToken(headers.authorization) },
    timeoutMs: timeoutMs === undefined || timeoutMs > timeoutMsMax ? undefined : timeoutMs,
  };
}

/** Values of one name may be joined by commas; padding may be left out (gRPC over HTTP/2, Binary-Header). */
function isBase64(value: string): boolean {
  return value.split(',').every((one) => /^ *[A-Za-z0-9+/]*={0,2} *$/.test(one));
}
