import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { fieldsFor, hasOpenBody, http2StreamOf } from './http2-request.ts';
import { takeOver } from './take-over.ts';

/** The target of a body's bytes. */
export type OpenBody = Socket | ServerHttp2Stream;

/** The listener of a body. One function per event for all bodies: the differences are in the body, which is `this`. */
export interface BodyListeners {
  readonly onDrain: (this: OpenBody) => void;
  /** The peer closed its half of an HTTP/1.1 connection. */
  readonly onHalfClosed: (this: OpenBody) => void;
  /** The peer has gone, or can receive nothing more. */
  readonly onGone: (this: OpenBody) => void;
}

/**
 * Starts an answer with an endless body, and returns the target of the body. In HTTP/1.1 this is the socket itself,
 * taken from Node's HTTP, and the body ends with the connection (RFC 9112 §6.3). In HTTP/2 it is one stream of the
 * connection. The bytes of the body are the same. `undefined`: the peer has already gone.
 */
export function openBody(
  request: IncomingMessage,
  response: ServerResponse,
  head: { readonly fields: OutgoingHttpHeaders; readonly first: string },
  { onDrain, onHalfClosed, onGone }: BodyListeners,
): OpenBody | undefined {
  const stream = http2StreamOf(response);
  if (stream !== undefined) {
    if (stream.destroyed || stream.closed) return undefined;
    stream.on('drain', onDrain).on('close', onGone);
    stream.respond({ ':status': 200, ...fieldsFor(request, head.fields) });
    stream.write(head.first);
    // Discards further input of the peer: unread, it would use up the flow-control window.
    stream.resume();
    return stream;
  }
  const socket = takeOver(request, response);
  socket.on('drain', onDrain).on('close', onGone).on('error', onGone);
  if (socket.destroyed) return undefined;
  socket.write(headText(head.fields) + head.first);
  if (socket.readableEnded) queueMicrotask(() => onHalfClosed.call(socket));
  else socket.on('end', onHalfClosed).resume();
  return socket;
}

/** Sends the last bytes. The peer then sees the end of the body, even if it still sends. */
export function endBody(body: OpenBody, text: string): void {
  body.end(text);
  body.once('finish', () => {
    // Node's HTTP server sets `allowHalfOpen`, so our end alone would not close the socket.
    if (!isStream(body)) body.destroySoon();
    else if (hasOpenBody(body)) body.close(constants.NGHTTP2_NO_ERROR);
  });
}

export function cutBody(body: OpenBody): void {
  if (isStream(body)) body.close(constants.NGHTTP2_CANCEL);
  else body.destroy();
}

function isStream(body: OpenBody): body is ServerHttp2Stream {
  return 'rstCode' in body;
}

function headText(fields: OutgoingHttpHeaders): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  return `HTTP/1.1 200 OK\r\nDate: ${new Date().toUTCString()}\r\n${lines.join('')}\r\n`;
}
