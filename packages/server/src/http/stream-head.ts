import type { ServerResponse } from 'node:http';
import type { Gap } from '../core/store.ts';
import type { StreamWire } from './stream-wire.ts';

export interface StreamStart {
  readonly cursor: string;
  readonly gaps: readonly Gap[];
  readonly commonHeaders: Readonly<Record<string, string>>;
}

/** Answers HEAD on a stream: the same header fields and nothing else (RFC 9110 §9.3.2). */
export function sendStreamHead(response: ServerResponse, wire: StreamWire, start: StreamStart): void {
  response.writeHead(200, streamHeaders(wire, start));
  response.end();
}

/** The head of an answer whose body is what follows until the connection ends (RFC 9112 §6.3). */
export function streamHead(wire: StreamWire, start: StreamStart): string {
  const lines = Object.entries(streamHeaders(wire, start)).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 200 OK\r\nDate: ${new Date().toUTCString()}\r\n${lines.join('')}\r\n`;
}

function streamHeaders(wire: StreamWire, start: StreamStart): Readonly<Record<string, string>> {
  return {
    'Content-Type': wire.contentType,
    'Cache-Control': 'no-cache',
    // Asks nginx and its kin not to collect the response before passing it on.
    'X-Accel-Buffering': 'no',
    'X-Content-Type-Options': 'nosniff',
    'Everywire-Continuity': start.gaps.length === 0 ? 'exact' : 'gap',
    'Everywire-Cursor': start.cursor,
    ...start.commonHeaders,
    Connection: 'close',
  };
}
