import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Gap } from '../core/seams/store.ts';
import { fieldsFor } from './http2-request.ts';
import type { StreamWire } from './stream-wire.ts';

export interface StreamStart {
  readonly cursor: string;
  readonly gaps: readonly Gap[];
  /** The same request would start at another position later. */
  readonly isPassing?: boolean;
  readonly commonHeaders: Readonly<Record<string, string>>;
}

/** Answers HEAD on a stream: the same header fields and nothing else (RFC 9110 §9.3.2). */
export function sendStreamHead(
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  wire: StreamWire,
  start: StreamStart,
): void {
  response.writeHead(200, fieldsFor(request, streamFields(wire, start)));
  response.end();
}

/** The head of the answer. */
export function streamFields(wire: StreamWire, start: StreamStart): OutgoingHttpHeaders {
  return {
    'Content-Type': wire.contentType,
    'Cache-Control': 'no-cache',
    // Asks nginx and similar proxies not to buffer the response.
    'X-Accel-Buffering': 'no',
    'X-Content-Type-Options': 'nosniff',
    'Everywire-Continuity': start.gaps.length === 0 ? 'exact' : 'gap',
    'Everywire-Cursor': start.cursor,
    ...start.commonHeaders,
    Connection: 'close',
  };
}
