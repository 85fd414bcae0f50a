import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import {
  constants,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { shareCounted } from '../net/counted.ts';
import { certificateOf, setCertificate } from '../net/tls-end.ts';

/** A request of HTTP/2 and its answer, in the form that code for HTTP/1.1 expects. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Makes an exchange of a stream. @param socket the socket or TLS socket of the connection */
export function exchangeOf(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  socket: Socket,
): Exchange {
  // RFC 9113 §8.3.1: the value of Host in HTTP/1.1.
  headers.host ??= headers[':authority'];
  // HTTP/2 frames a body without a length; in HTTP/1.1 this field announces such a body.
  if (hasBody(stream, headers) && headers['content-length'] === undefined)
    headers['transfer-encoding'] = 'chunked';
  // Node reports the close of an aborted stream only after its buffered data was read.
  stream.on('aborted', () => stream.resume());
  const request = new Http2ServerRequest(stream, headers, {}, withoutPseudo(rawHeaders));
  // Node's replacement for the socket throws once the connection has gone, and its listeners cannot be removed.
  Object.defineProperty(request, 'socket', { value: new StreamSocket(stream, socket) });
  const response = new Http2ServerResponse(stream);
  // Node's `finished()` would wait without end for an answer whose peer has gone, and so would its callers.
  const hasGone = { get: (): boolean => stream.closed || stream.destroyed };
  Object.defineProperties(response, { closed: hasGone, destroyed: hasGone });
  // Node intends these types to be interchangeable.
  return { request: request as unknown as IncomingMessage, response: response as unknown as ServerResponse };
}

/** A body may come although the request has no use for it. The server does not read it, and it closes with its stream. */
function hasBody(stream: ServerHttp2Stream, { ':method': method }: IncomingHttpHeaders): boolean {
  return !stream.endAfterHeaders && method !== 'GET' && method !== 'HEAD';
}

/** The size of a head by the rule of HTTP/2 (RFC 9113 §6.5.2). */
export function headBytesOf(rawHeaders: readonly string[]): number {
  return rawHeaders.reduce((sum, text) => sum + text.length, rawHeaders.length * 16);
}

/** The stream of an answer; `undefined`: the answer is HTTP/1.1. */
export function http2StreamOf(response: ServerResponse): ServerHttp2Stream | undefined {
  const given: unknown = response;
  return given instanceof Http2ServerResponse ? given.stream : undefined;
}

/** Whether the peer may still send a body, or has started to. */
export function hasOpenBody(stream: ServerHttp2Stream): boolean {
  return !stream.endAfterHeaders && !stream.readableEnded;
}

/**
 * Ends an answer while the request may still arrive: tells the peer that the server does not read the rest (RFC 9113
 * §8.1).
 */
export function endHttp2(response: ServerResponse, stream: ServerHttp2Stream, body: string | Buffer): void {
  if (hasOpenBody(stream)) {
    stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR));
    stream.resume();
  }
  response.end(body);
}

/** Fields about the connection, which HTTP/2 has in separate frames (RFC 9113 §8.2.2). */
const connectionFields: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

/** The fields for the answer: HTTP/2 does not allow those about the connection. */
export function fieldsFor<T extends OutgoingHttpHeaders>(request: IncomingMessage, fields: T): T {
  if (request.httpVersionMajor < 2) return fields;
  const left = Object.entries(fields).filter(([name]) => !connectionFields.has(name.toLowerCase()));
  return Object.fromEntries(left) as T;
}

/** Pseudo-fields come first (RFC 9113 §8.3). */
function withoutPseudo(rawHeaders: readonly string[]): string[] {
  let at = 0;
  while (rawHeaders[at]?.startsWith(':') === true) at += 2;
  return rawHeaders.slice(at);
}

/** The parts of a socket that code for HTTP/1.1 reads: the peer's address, and whether the stream has closed. */
class StreamSocket {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly localPort: number | undefined;
  readonly encrypted: boolean;
  readonly #stream: ServerHttp2Stream;

  constructor(stream: ServerHttp2Stream, socket: Socket) {
    this.#stream = stream;
    this.remoteAddress = socket.remoteAddress;
    this.remotePort = socket.remotePort;
    this.localPort = socket.localPort;
    this.encrypted = 'encrypted' in socket;
    setCertificate(this, certificateOf(socket));
    shareCounted(this, socket);
  }

  get destroyed(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  on(event: string, listener: () => void): this {
    this.#stream.on(event, listener);
    return this;
  }

  once(event: string, listener: () => void): this {
    this.#stream.once(event, listener);
    return this;
  }

  off(event: string, listener: () => void): this {
    this.#stream.off(event, listener);
    return this;
  }

  removeListener(event: string, listener: () => void): this {
    return this.off(event, listener);
  }

  setMaxListeners(count: number): this {
    this.#stream.setMaxListeners(count);
    return this;
  }
}
